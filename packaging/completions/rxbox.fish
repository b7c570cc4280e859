# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rxbox_global_optspecs
    string join \n h/help argv0= stack-size= name= no-cache gdb= profile= allow-read= allow-list= allow-modify= allow-write= allow-exec= private= overlay= deny-path= hide= allow-net= allow-bind= pass-env= env= secret= unset-env= user= pass-fd= limit= time-limit= try log= log-file= status-fd= audit= q/quiet V/version
end

function __fish_rxbox_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rxbox_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rxbox_using_subcommand
    set -l cmd (__fish_rxbox_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rxbox -n "__fish_rxbox_needs_command" -l argv0 -d 'Give the program NAME as its argument 0 instead of PROGRAM' -r
complete -c rxbox -n "__fish_rxbox_needs_command" -l stack-size -d 'Let the stack of the program grow to SIZE bytes (K, M and G are powers of 1024)' -r
complete -c rxbox -n "__fish_rxbox_needs_command" -l name -d 'Give the run a name, by which `rxbox ps` and `rxbox kill` find it' -r
complete -c rxbox -n "__fish_rxbox_needs_command" -l gdb -d 'Begin once a debugger has connected (GDB\'s target remote) at ADDRESS: PORT or HOST:PORT, or the path of a unix socket' -r
complete -c rxbox -n "__fish_rxbox_needs_command" -l profile -d 'Profile by name or, with a slash, by path' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l allow-read -d 'Let the program read PATH and everything below it' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l allow-list -d 'Let it list directories there and see what there is, but read nothing' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l allow-modify -d 'Let it read and change files that are there' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l allow-write -d 'Let it read, create, change and remove there' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l allow-exec -d 'Let it read and run what lies there' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l private -d 'Give it a folder of its own in place of PATH, empty at first and gone at the end' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l overlay -d 'Let it write in the directory PATH, and keep what it changes apart until it is applied' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l deny-path -d 'Deny every access there, whatever else allows it' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l hide -d 'Make PATH look missing' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l allow-net -d 'Let it connect, for example to tcp:example.org:443 or tcp:192.0.2.1:443' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l allow-bind -d 'Let it bind, for example to tcp:127.0.0.1:8080' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l pass-env -d 'Pass an environment variable on; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l env -d 'Set an environment variable' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l secret -d 'Give it a secret, file:PATH or env:NAME, by a descriptor that NAME_FILE names' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l unset-env -d 'Keep an environment variable from it; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l user -d 'Run everything, rxbox included, as this user; for root' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l pass-fd -d 'Let it inherit the open descriptor N' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l limit -d 'Set a limit, for example memory=512M' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l time-limit -d 'End the program after this time' -r -f
complete -c rxbox -n "__fish_rxbox_needs_command" -l log -d 'Log ITEMS, which commas separate' -r -f -a "in_asm\t'guest instructions of each block'
op\t'intermediate code of each block, as built'
op_opt\t'intermediate code of each block, as emitted'
out_asm\t'host instructions of each block'
exec\t'each block that the cpu loop enters; blocks are not chained then'
syscall\t'each system call, as strace prints it'
page\t'the guest\'s memory map when it changes'"
complete -c rxbox -n "__fish_rxbox_needs_command" -l log-file -d 'Append the log to FILE instead of standard error, and denials as well' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -l status-fd -d 'Write the outcome as a line of JSON to descriptor N' -r
complete -c rxbox -n "__fish_rxbox_needs_command" -l audit -d 'Write records of what was denied, as lines of JSON, to FILE or to descriptor N (fd:N), or to systemd\'s journal' -r -F
complete -c rxbox -n "__fish_rxbox_needs_command" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_needs_command" -l no-cache -d 'Neither use translations that are kept on disk nor keep any'
complete -c rxbox -n "__fish_rxbox_needs_command" -l try -d 'Change nothing: keep apart what the program changes wherever it may write, to be shown and applied by `rxbox changes`'
complete -c rxbox -n "__fish_rxbox_needs_command" -s q -l quiet -d 'Do not tell what was denied'
complete -c rxbox -n "__fish_rxbox_needs_command" -s V -l version -d 'Print version'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "explain" -d 'Print a decision of a profile and the rule that takes it'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "learn" -d 'Run a program and write a profile that allows what it did'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "check" -d 'Look for errors in profiles, and warn of what opens the sandbox'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "diff" -d 'Print what profile B allows that A does not, and the reverse'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "show" -d 'Print a profile as one, with all that it extends, and where each entry is written'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "syscalls" -d 'Print the table of system calls, or one row of it'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "schema" -d 'Print the JSON Schema of profiles, by which editors complete and check them'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "doctor" -d 'Print which layers of confinement this host offers, why one is missing, and how to get it'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "systemd" -d 'Print a drop-in that puts a service of systemd\'s into rxbox'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "trace" -d 'Show the calls of a program, with what the policy decides, or those of a run that has a name'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "changes" -d 'Show, apply or discard what runs with --try or --overlay have changed'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "cache" -d 'Show, fill or empty the cache of translations'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "ps" -d 'List the runs that have a name'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "kill" -d 'Send a signal to runs that have a name'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "oci" -d 'Run containers for engines such as containerd, Docker and podman'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "completions" -d 'Print the completions of a shell'
complete -c rxbox -n "__fish_rxbox_needs_command" -a "man" -d 'Print the manual page'
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l program -d 'The program that the profile\'s variables speak of; else rxbox itself' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l profile -d 'Profile by name or, with a slash, by path' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l allow-read -d 'Let the program read PATH and everything below it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l allow-list -d 'Let it list directories there and see what there is, but read nothing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l allow-modify -d 'Let it read and change files that are there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l allow-write -d 'Let it read, create, change and remove there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l allow-exec -d 'Let it read and run what lies there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l private -d 'Give it a folder of its own in place of PATH, empty at first and gone at the end' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l overlay -d 'Let it write in the directory PATH, and keep what it changes apart until it is applied' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l deny-path -d 'Deny every access there, whatever else allows it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l hide -d 'Make PATH look missing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l allow-net -d 'Let it connect, for example to tcp:example.org:443 or tcp:192.0.2.1:443' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l allow-bind -d 'Let it bind, for example to tcp:127.0.0.1:8080' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l pass-env -d 'Pass an environment variable on; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l env -d 'Set an environment variable' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l secret -d 'Give it a secret, file:PATH or env:NAME, by a descriptor that NAME_FILE names' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l unset-env -d 'Keep an environment variable from it; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l user -d 'Run everything, rxbox included, as this user; for root' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l pass-fd -d 'Let it inherit the open descriptor N' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l limit -d 'Set a limit, for example memory=512M' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l time-limit -d 'End the program after this time' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l why -d 'Print also each rule that speaks of the path, from the root down'
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -l try -d 'Change nothing: keep apart what the program changes wherever it may write, to be shown and applied by `rxbox changes`'
complete -c rxbox -n "__fish_rxbox_using_subcommand explain" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -s o -l output -d 'Write the profile to FILE, which must not be there yet, instead of PROGRAM.toml' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l from -d 'Profile to build on, by name or, with a slash, by path' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l merge -d 'Add to the profile in FILE what it did beyond it, in its place unless --output is given; several FILEs become one' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l add -d 'Run nothing, but add to the profile of --merge what the records in FILE, which --audit has written, say that no rule allowed' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l diff -d 'Write no profile, but tell what profile P grants that was not used, and what was used that it does not grant' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l allow-read -d 'Let the program read PATH and everything below it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l allow-list -d 'Let it list directories there and see what there is, but read nothing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l allow-modify -d 'Let it read and change files that are there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l allow-write -d 'Let it read, create, change and remove there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l allow-exec -d 'Let it read and run what lies there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l private -d 'Give it a folder of its own in place of PATH, empty at first and gone at the end' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l overlay -d 'Let it write in the directory PATH, and keep what it changes apart until it is applied' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l deny-path -d 'Deny every access there, whatever else allows it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l hide -d 'Make PATH look missing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l allow-net -d 'Let it connect, for example to tcp:example.org:443 or tcp:192.0.2.1:443' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l allow-bind -d 'Let it bind, for example to tcp:127.0.0.1:8080' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l pass-env -d 'Pass an environment variable on; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l env -d 'Set an environment variable' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l secret -d 'Give it a secret, file:PATH or env:NAME, by a descriptor that NAME_FILE names' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l unset-env -d 'Keep an environment variable from it; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l user -d 'Run everything, rxbox included, as this user; for root' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l pass-fd -d 'Let it inherit the open descriptor N' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l limit -d 'Set a limit, for example memory=512M' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l time-limit -d 'End the program after this time' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l log -d 'Log ITEMS, which commas separate' -r -f -a "in_asm\t'guest instructions of each block'
op\t'intermediate code of each block, as built'
op_opt\t'intermediate code of each block, as emitted'
out_asm\t'host instructions of each block'
exec\t'each block that the cpu loop enters; blocks are not chained then'
syscall\t'each system call, as strace prints it'
page\t'the guest\'s memory map when it changes'"
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l log-file -d 'Append the log to FILE instead of standard error, and denials as well' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l status-fd -d 'Write the outcome as a line of JSON to descriptor N' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l audit -d 'Write records of what was denied, as lines of JSON, to FILE or to descriptor N (fd:N), or to systemd\'s journal' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -l once -d 'Do not run the program once more under the profile'
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -s q -l quiet -d 'Do not tell what was denied'
complete -c rxbox -n "__fish_rxbox_using_subcommand learn" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand check" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand diff" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l allow-read -d 'Let the program read PATH and everything below it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l allow-list -d 'Let it list directories there and see what there is, but read nothing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l allow-modify -d 'Let it read and change files that are there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l allow-write -d 'Let it read, create, change and remove there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l allow-exec -d 'Let it read and run what lies there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l private -d 'Give it a folder of its own in place of PATH, empty at first and gone at the end' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l overlay -d 'Let it write in the directory PATH, and keep what it changes apart until it is applied' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l deny-path -d 'Deny every access there, whatever else allows it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l hide -d 'Make PATH look missing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l allow-net -d 'Let it connect, for example to tcp:example.org:443 or tcp:192.0.2.1:443' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l allow-bind -d 'Let it bind, for example to tcp:127.0.0.1:8080' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l pass-env -d 'Pass an environment variable on; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l env -d 'Set an environment variable' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l secret -d 'Give it a secret, file:PATH or env:NAME, by a descriptor that NAME_FILE names' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l unset-env -d 'Keep an environment variable from it; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l user -d 'Run everything, rxbox included, as this user; for root' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l pass-fd -d 'Let it inherit the open descriptor N' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l limit -d 'Set a limit, for example memory=512M' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l time-limit -d 'End the program after this time' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -l filters -d 'Print the kernel\'s filters around supervisor and child, too'
complete -c rxbox -n "__fish_rxbox_using_subcommand show" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand syscalls" -l coverage -d 'Print what is offered of each: all, a part (what is missing), or nothing (why)'
complete -c rxbox -n "__fish_rxbox_using_subcommand syscalls" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand schema" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand doctor" -l json -d 'Print it as JSON'
complete -c rxbox -n "__fish_rxbox_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand systemd" -l profile -d 'The profile by name or, with a slash, by absolute path' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand systemd" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -s n -l name -d 'Follow the run of this name instead of running a program' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -s e -l trace -d 'Only these calls: names and classes (%file, %desc, %process, %network, %signal, %memory, %ipc) that commas separate; with ! before them all others' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -s P -l trace-path -d 'Only calls about the file PATH, or about something below it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -s p -l pid -d 'Only calls of the process that the program knows as N' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -s o -l output -d 'Append it to FILE instead of standard error' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l profile -d 'Profile by name or, with a slash, by path' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l allow-read -d 'Let the program read PATH and everything below it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l allow-list -d 'Let it list directories there and see what there is, but read nothing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l allow-modify -d 'Let it read and change files that are there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l allow-write -d 'Let it read, create, change and remove there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l allow-exec -d 'Let it read and run what lies there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l private -d 'Give it a folder of its own in place of PATH, empty at first and gone at the end' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l overlay -d 'Let it write in the directory PATH, and keep what it changes apart until it is applied' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l deny-path -d 'Deny every access there, whatever else allows it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l hide -d 'Make PATH look missing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l allow-net -d 'Let it connect, for example to tcp:example.org:443 or tcp:192.0.2.1:443' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l allow-bind -d 'Let it bind, for example to tcp:127.0.0.1:8080' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l pass-env -d 'Pass an environment variable on; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l env -d 'Set an environment variable' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l secret -d 'Give it a secret, file:PATH or env:NAME, by a descriptor that NAME_FILE names' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l unset-env -d 'Keep an environment variable from it; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l user -d 'Run everything, rxbox included, as this user; for root' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l pass-fd -d 'Let it inherit the open descriptor N' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l limit -d 'Set a limit, for example memory=512M' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l time-limit -d 'End the program after this time' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l log -d 'Log ITEMS, which commas separate' -r -f -a "in_asm\t'guest instructions of each block'
op\t'intermediate code of each block, as built'
op_opt\t'intermediate code of each block, as emitted'
out_asm\t'host instructions of each block'
exec\t'each block that the cpu loop enters; blocks are not chained then'
syscall\t'each system call, as strace prints it'
page\t'the guest\'s memory map when it changes'"
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l log-file -d 'Append the log to FILE instead of standard error, and denials as well' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l status-fd -d 'Write the outcome as a line of JSON to descriptor N' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l audit -d 'Write records of what was denied, as lines of JSON, to FILE or to descriptor N (fd:N), or to systemd\'s journal' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l denied -d 'Only calls of which something was denied'
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -s f -l follow-forks -d 'Calls of all processes, not of the first one only'
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -s c -l summary-only -d 'Print a table at the end: how often each call was made, failed, was denied, and how long it took'
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l json -d 'Print lines of JSON, which docs/runs.md describes'
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -l try -d 'Change nothing: keep apart what the program changes wherever it may write, to be shown and applied by `rxbox changes`'
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -s q -l quiet -d 'Do not tell what was denied'
complete -c rxbox -n "__fish_rxbox_using_subcommand trace" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and not __fish_seen_subcommand_from list show apply discard" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and not __fish_seen_subcommand_from list show apply discard" -f -a "list" -d 'List the runs whose changes are kept'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and not __fish_seen_subcommand_from list show apply discard" -f -a "show" -d 'Print what a run has changed, and what is different in text files'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and not __fish_seen_subcommand_from list show apply discard" -f -a "apply" -d 'Make the changes on the host, or those at and below PATH'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and not __fish_seen_subcommand_from list show apply discard" -f -a "discard" -d 'Give the changes of a run up'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and __fish_seen_subcommand_from apply" -l name -d 'The name of the run; else the last one' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and __fish_seen_subcommand_from apply" -l force -d 'Apply also what the host has changed since'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand changes; and __fish_seen_subcommand_from discard" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and not __fish_seen_subcommand_from stat warm purge" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and not __fish_seen_subcommand_from stat warm purge" -f -a "stat" -d 'Print where they lie, of which files they are, and how much they take'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and not __fish_seen_subcommand_from stat warm purge" -f -a "warm" -d 'Run a program, and wait until the translations of what it executed are kept'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and not __fish_seen_subcommand_from stat warm purge" -f -a "purge" -d 'Remove all of them'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from stat" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l argv0 -d 'Give the program NAME as its argument 0 instead of PROGRAM' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l stack-size -d 'Let the stack of the program grow to SIZE bytes (K, M and G are powers of 1024)' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l name -d 'Give the run a name, by which `rxbox ps` and `rxbox kill` find it' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l gdb -d 'Begin once a debugger has connected (GDB\'s target remote) at ADDRESS: PORT or HOST:PORT, or the path of a unix socket' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l profile -d 'Profile by name or, with a slash, by path' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l allow-read -d 'Let the program read PATH and everything below it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l allow-list -d 'Let it list directories there and see what there is, but read nothing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l allow-modify -d 'Let it read and change files that are there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l allow-write -d 'Let it read, create, change and remove there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l allow-exec -d 'Let it read and run what lies there' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l private -d 'Give it a folder of its own in place of PATH, empty at first and gone at the end' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l overlay -d 'Let it write in the directory PATH, and keep what it changes apart until it is applied' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l deny-path -d 'Deny every access there, whatever else allows it' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l hide -d 'Make PATH look missing' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l allow-net -d 'Let it connect, for example to tcp:example.org:443 or tcp:192.0.2.1:443' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l allow-bind -d 'Let it bind, for example to tcp:127.0.0.1:8080' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l pass-env -d 'Pass an environment variable on; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l env -d 'Set an environment variable' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l secret -d 'Give it a secret, file:PATH or env:NAME, by a descriptor that NAME_FILE names' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l unset-env -d 'Keep an environment variable from it; wildcards are allowed' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l user -d 'Run everything, rxbox included, as this user; for root' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l pass-fd -d 'Let it inherit the open descriptor N' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l limit -d 'Set a limit, for example memory=512M' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l time-limit -d 'End the program after this time' -r -f
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l log -d 'Log ITEMS, which commas separate' -r -f -a "in_asm\t'guest instructions of each block'
op\t'intermediate code of each block, as built'
op_opt\t'intermediate code of each block, as emitted'
out_asm\t'host instructions of each block'
exec\t'each block that the cpu loop enters; blocks are not chained then'
syscall\t'each system call, as strace prints it'
page\t'the guest\'s memory map when it changes'"
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l log-file -d 'Append the log to FILE instead of standard error, and denials as well' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l status-fd -d 'Write the outcome as a line of JSON to descriptor N' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l audit -d 'Write records of what was denied, as lines of JSON, to FILE or to descriptor N (fd:N), or to systemd\'s journal' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l no-cache -d 'Neither use translations that are kept on disk nor keep any'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -l try -d 'Change nothing: keep apart what the program changes wherever it may write, to be shown and applied by `rxbox changes`'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -s q -l quiet -d 'Do not tell what was denied'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from warm" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand cache; and __fish_seen_subcommand_from purge" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand ps" -l json -d 'Print it as JSON'
complete -c rxbox -n "__fish_rxbox_using_subcommand ps" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand kill" -s s -l signal -d 'The signal, by name (HUP, SIGHUP) or number' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand kill" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -l root -d 'Keep what is known of containers in DIR' -r -f -a "(__fish_complete_directories)"
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -l log -d 'Write errors and warnings to FILE as well' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -l log-format -d 'The form of these' -r -f -a "text\t'Lines of text'
json\t'Lines of JSON'"
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -l rootless -d 'Taken for runc\'s sake, and without a meaning' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -l debug -d 'Write to the log what is done, too'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -l systemd-cgroup -d 'Take paths of cgroups for SLICE:PREFIX:NAME'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -s v -l version -d 'Print the version'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "create" -d 'Make a container, whose program waits for `start`'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "start" -d 'Start the program of a container'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "run" -d 'Make a container, start it, and remove it at its end'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "exec" -d 'Start another process in a container'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "state" -d 'Print what is known of a container'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "list" -d 'List containers'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "kill" -d 'Send a signal to the program of a container'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "delete" -d 'Remove what belongs to a container'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "ps" -d 'List the processes of a container by their numbers on the host'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "pause" -d 'Stop all processes of a container where they are'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "resume" -d 'Have them go on'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "update" -d 'Change the limits of a container'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and not __fish_seen_subcommand_from create start run exec state list kill delete ps pause resume update features" -f -a "features" -d 'Print what this runtime can do'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from create" -s b -l bundle -d 'The directory with config.json' -r -f -a "(__fish_complete_directories)"
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from create" -l console-socket -d 'Send the container\'s terminal to the socket PATH' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from create" -l pid-file -d 'Write the number of the container\'s process to FILE' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from create" -l preserve-fds -d 'Pass N descriptors from 3 on' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from create" -l no-pivot -d 'Refused: rxbox cannot do without pivot_root'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from create" -l no-new-keyring -d 'Taken for runc\'s sake: rxbox makes no keyring'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from run" -s b -l bundle -d 'The directory with config.json' -r -f -a "(__fish_complete_directories)"
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from run" -l console-socket -d 'Send the container\'s terminal to the socket PATH' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from run" -l pid-file -d 'Write the number of the container\'s process to FILE' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from run" -l preserve-fds -d 'Pass N descriptors from 3 on' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from run" -s d -l detach -d 'Do not wait for its end'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from run" -l keep -d 'Leave it there at its end'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from run" -l no-pivot -d 'Refused: rxbox cannot do without pivot_root'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from run" -l no-new-keyring -d 'Taken for runc\'s sake: rxbox makes no keyring'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -s p -l process -d 'Read what to start from FILE, a `process` of config.json' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -l console-socket -d 'Send the terminal to the socket PATH' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -l pid-file -d 'Write the number of the process that stands for the new one to FILE' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -l cwd -d 'Start it in DIR' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -s e -l env -d 'Set a variable' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -s u -l user -d 'Start it as this user' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -s g -l additional-gids -d 'Start it with these groups besides' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -l preserve-fds -d 'Pass N descriptors from 3 on' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -s d -l detach -d 'Do not wait for its end'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -s t -l tty -d 'Give it a terminal'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from exec" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from state" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from list" -s f -l format -d 'The form' -r -f -a "table\t'A table'
json\t'JSON'"
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print nothing but names'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from kill" -s a -l all -d 'To all of its processes, which SIGKILL does anyway'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from kill" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from delete" -s f -l force -d 'End it first if it runs'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from ps" -s f -l format -d 'The form' -r -f -a "table\t'A table'
json\t'JSON'"
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from ps" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -s r -l resources -d 'Read the limits from FILE, `linux.resources` of config.json; `-` is standard input' -r -F
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -l memory -d 'Bytes of memory' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -l memory-swap -d 'Bytes of memory and swap together' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -l memory-reservation -d 'Bytes of memory that are left if memory is short' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -l pids-limit -d 'Processes and threads' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -l cpu-shares -l cpu-share -d 'Share of processor time' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -l cpu-quota -d 'Microseconds of processor time in a period' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -l cpu-period -d 'The period' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -l cpuset-cpus -d 'Processors' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -l cpuset-mems -d 'Nodes of memory' -r
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from update" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand oci; and __fish_seen_subcommand_from features" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand completions" -s h -l help -d 'Print help'
complete -c rxbox -n "__fish_rxbox_using_subcommand man" -s h -l help -d 'Print help'
