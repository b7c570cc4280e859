# What a script does with any shell.
trap 'echo bye $?' EXIT
trap 'echo usr1' USR1
kill -USR1 $$
printf 'b\na\nb\n' | sort | uniq -c | while read n x; do echo "$n:$x"; done
cat <<X | tr a-z A-Z
here $((6*7)) `echo back` $(echo dollar)
X
cat <<'X'
raw $x
X
(exit 9) & p=$!
wait $p; echo "waited $?"
sleep 100 & p=$!; kill -KILL $p; wait $p 2>/dev/null; echo "killed $?"
(kill -9 $(exec sh -c 'echo $PPID')) 2>/dev/null; echo $?
i=0; while [ $i -lt 500 ]; do (exit $((i%7))) ; s=$((s+$?)); i=$((i+1)); done; echo $s
i=0; while [ $i -lt 30 ]; do x=$(/bin/echo $i); i=$((i+1)); done; echo $x
mkfifo p; (echo through fifo > p) & cat p; wait
set -- a b c; echo "$#" "${1}" "${x%%0}"
exec 3>file; echo to3 >&3; exec 3>&-; cat file
f() { return 3; }; f || echo "f $?"
yes | head -3
umask 077; touch u; stat -c %a u
seq 20000 | sed -n '$p'; head -c 1000000 /dev/zero | wc -c
echo x | (read q; echo got $q)
case abc in a*) echo case;; esac
sh -c 'trap "" TERM; kill -TERM $$; echo survived'
sh -c 'kill -TERM $$; echo no' 2>/dev/null; echo $?
nosuch 2>/dev/null; echo $?; /etc/passwd 2>/dev/null; echo $?
exit 5
