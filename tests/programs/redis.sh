# A database in memory that is saved by a forked process, and logged; everything over a unix socket.
cli() { redis-cli -s $PWD/sock "$@"; }
start() {
    redis-server --port 0 --unixsocket $PWD/sock --dir $PWD --save "900 1" --appendonly yes > log 2>&1 & server=$!
    until [ "$(cli ping 2>/dev/null)" = PONG ]; do kill -0 $server || exit 1; sleep 0.02; done
}
until_zero() { until cli info persistence | grep -q "$1:0"; do sleep 0.02; done; }
start
cli set a 1; cli incr a; cli lpush l 1 2 3
cli eval 'local s = 0 for i = 1, 1000 do s = s + i end return s' 0
redis-benchmark -s $PWD/sock -n 2000 -c 20 -q -t set,get,lpush 2>&1 | tr '\r' '\n' | grep -c 'requests per second'
cli bgsave; until_zero rdb_bgsave_in_progress
cli bgrewriteaof; until_zero aof_rewrite_in_progress
cli info persistence | grep -E 'rdb_last_bgsave_status|aof_enabled|aof_last_bgrewrite_status'
(cli subscribe ch > messages) & listener=$!
until [ "$(cli publish ch x)" = 1 ]; do sleep 0.02; done
until [ "$(tail -n 1 messages)" = x ]; do sleep 0.02; done
kill $listener
kill $server; wait $server; echo exit $?
start
cli get a; cli lrange l 0 -1; cli dbsize
cli shutdown; wait $server; echo exit $?
ls appendonlydir dump.rdb
grep -iE 'crash|assert' log
true
