//! Which translator this is: what a kept translation depends on besides the code.

use rxbox_translate::cpuid::CpuidTable;
use rxbox_translate::frontend::Config;
use rxbox_translate::state::Region;

/// How blocks are shaped on this processor.
pub fn config(cpuid: &CpuidTable) -> Config {
    Config { narrow_branches: !cpuid.is_intel(), ..Config::default() }
}

/// Stands for the translator's sources, its configuration, and the region that translations refer to.
pub fn identity(region: Region, config: &Config) -> [u8; 32] {
    let Config { max_insns, max_exits, step, virtual_tsc, narrow_branches } = *config;
    let mut identity = [0; 32];
    identity[..8].copy_from_slice(&rxbox_translate::VERSION.to_le_bytes());
    identity[8..16].copy_from_slice(&region.start().to_le_bytes());
    identity[16..18].copy_from_slice(&max_insns.to_le_bytes());
    identity[18..22].copy_from_slice(&[max_exits, step.into(), virtual_tsc.into(), narrow_branches.into()]);
    identity
}
