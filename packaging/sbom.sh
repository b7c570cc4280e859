#!/bin/sh
# Prints what the program is made of, with versions and licences, as CycloneDX 1.5 (cyclonedx.org): the crates that
# Cargo.lock names, but those that only tests use. Needs jq.
set -eu
cd "$(dirname "$0")/.."
cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu | jq '
    (.packages | INDEX(.id)) as $packages
    | def is_used: any(.dep_kinds[]; .kind != "dev" and .target != "cfg(fuzzing)");
    (.resolve.nodes | INDEX(.id) | map_values([.deps[] | select(is_used).pkg])) as $uses
    | def with_all_used: (. + map($uses[.][]) | unique) as $more | if $more == . then . else $more | with_all_used end;
    def reference: $packages[.] | "pkg:cargo/\(.name)@\(.version)";
    def component: $packages[.] as $crate | {
        type: "library", "bom-ref": reference, purl: reference, name: $crate.name, version: $crate.version,
        licenses: [{ expression: ($crate.license | gsub("/"; " OR ") | gsub("  +"; " ")) }]
    };
    ($packages[] | select(.name == "rxbox").id) as $program
    | ([$program] | with_all_used) as $all
    | {
        bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
        metadata: { component: ($program | component | .type = "application") },
        components: [$all[] | select(. != $program) | component],
        dependencies: [$all[] | { ref: reference, dependsOn: [$uses[.][] | reference] }]
    }'
