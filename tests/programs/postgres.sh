# A database of many processes: made, started, loaded, asked in parallel, stopped in every way.
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/postgres | tail -n 1)")
export PATH=$bin:$PATH PGDATA=$PWD/data PGHOST=$PWD PGPORT=5432 PGDATABASE=postgres
start() { pg_ctl -w -s -l log -o "-k $PWD -c listen_addresses=''" start; echo start $?; }
stop() { pg_ctl -w -s -m $1 stop; echo stop $?; }
initdb -A trust > init.log 2>&1; echo initdb $?
start
psql -X -q -c 'create table t(a int primary key, b text)' -c 'insert into t select i, md5(i::text) from generate_series(1, 5000) i' \
    -c 'create index on t(b)' -c 'analyze t' -c 'select count(*), min(b), max(b) from t'
pgbench -i -s 1 -q > /dev/null 2>&1; pgbench -c 4 -j 2 -t 25 2>/dev/null | grep -E 'processed|failed'
psql -X -q -c 'set max_parallel_workers_per_gather = 2' -c 'set min_parallel_table_scan_size = 0' -c 'set parallel_setup_cost = 0' \
    -c 'set parallel_tuple_cost = 0' -c 'explain (costs off) select count(*) from pgbench_accounts where abalance >= 0' \
    -c 'select count(*) from pgbench_accounts where abalance > -10000000' -c vacuum -c checkpoint
psql -X -Atc 'select pg_cancel_backend(pg_backend_pid())' 2>&1
stop fast
start
psql -X -Atc 'select count(*) from t'
# Ended without a shutdown, it recovers from its log.
stop immediate
start
psql -X -Atc 'select sum(a) from t'
stop smart
grep -E 'FATAL|PANIC|terminated by signal' log | sed 's/^[^]]*]//' | sort | uniq -c
true
