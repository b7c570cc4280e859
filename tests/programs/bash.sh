# What bash has beyond other shells.
coproc C { while read l; do echo "co $l"; done; }
echo hi >&${C[1]}; read -u ${C[0]} r; echo "$r"; exec {C[1]}>&-; wait $C_PID; echo $?
diff <(seq 5) <(seq 2 6); cat <(echo a) <(echo b)
mkfifo done; seq 3 | tee >(wc -l > count; : > done) > copy; read < done; cat count copy
set -o pipefail; false | true; echo $?; yes | head -3; echo "${PIPESTATUS[@]}"
mapfile -t a < <(seq 10); echo ${#a[@]} ${a[9]}
for i in {1..20}; do (exit $i) & pids+=($!); done; for p in ${pids[@]}; do wait $p; echo -n "$? "; done; echo
wait -n 2>/dev/null; echo $?
shopt -s lastpipe; seq 3 | while read x; do s=$((s+x)); done; echo $s
exec 5<>/dev/tcp/127.0.0.1/1 || echo refused
timeout 0.1 sleep 100; echo $?
for i in {1..500}; do x=$(echo $i); done; echo $x
trap 'echo err' ERR; false; trap 'echo int; exit 0' INT; kill -INT $$; echo not reached
