# A repository's life; everything that git names by its content comes out the same wherever it runs.
set -e
export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z HOME=$PWD GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
# With several threads git packs the same objects in different bytes.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=pack.threads GIT_CONFIG_VALUE_0=1
git init -q -b main r
cd r
for i in $(seq 20); do echo "file $i" > f$i; seq $((i * 50)) > d$i; done
git add .
git commit -q -m one
for i in 1 2 3 4; do echo more >> f$i; git commit -q -a -m "c$i"; done
git checkout -q -b side HEAD~2
echo s > side
git add side
git commit -q -m side
git checkout -q main
git merge -q -m merge side
git log --oneline --graph
git diff HEAD~3 --stat
git tag -a v1 -m v1
echo x >> f1
git stash -q
git stash pop -q
git status --short
git checkout -q f1
git grep -n more
git gc -q
git fsck
cd ..
git clone -q r c
git clone -q --bare "file://$PWD/r" b.git
git -C b.git rev-list --all --objects | sha256sum
git -C c log --format=%H | sha256sum
cd r
find .git/objects .git/packed-refs -type f ! -name '*.mtimes' | LC_ALL=C sort | xargs sha256sum
