# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of spawn(1) for fish. `make man` writes the part between the marks from the table of settings.

# The words before the cursor: prints what --directory and --machine say as "directory=…" and "machine=…", and
# "payload" once the program of the container is there.
function __spawn_line
    set -l option
    for word in (commandline -opc)[2..-1]
        if set -q option[1]
            __spawn_note $option $word
            set -e option
            continue
        end
        switch $word
            case --
                echo program
                return
            case '--*=*'
                __spawn_note (string split -m 1 = -- $word)
            case '--*'
                contains -- $word $__spawn_takes_value; and set option $word
            case '-*'
                set -l letters (string split '' -- (string sub -s 2 -- $word))
                for at in (seq (count $letters))
                    contains -- -$letters[$at] $__spawn_takes_value; or continue
                    set -l rest (string join '' -- $letters[(math $at + 1)..-1])
                    test -n "$rest"; and __spawn_note -$letters[$at] $rest; or set option -$letters[$at]
                    break
                end
            case '*'
                echo payload
                return
        end
    end
end

function __spawn_note
    switch $argv[1]
        case -D --directory
            echo directory=(string replace -r '^~/' $HOME/ -- $argv[2])
        case -M --machine
            echo machine=$argv[2]
    end
end

# Whether the cursor is before the program of the container.
function __spawn_in_options
    not contains payload (__spawn_line); and not contains program (__spawn_line)
end

function __spawn_at_program
    not contains payload (__spawn_line)
end

# The tree that the line names.
function __spawn_root
    set -l line (__spawn_line)
    set -l directory (string replace -f directory= '' -- $line)
    set -l machine (string replace -f machine= '' -- $line)
    if set -q directory[1]
        echo $directory[-1]
    else if set -q machine[1]
        echo /var/lib/machines/$machine[-1]
    end
end

function __spawn_machines
    for tree in /var/lib/machines/*/
        path basename $tree
    end
end

# Users of the tree, or of the host where none is named.
function __spawn_users
    set -l passwd (__spawn_root)/etc/passwd
    test -n "$passwd[1]"; or set passwd /etc/passwd
    test -r $passwd; and string replace -r ':.*' '' <$passwd
end

function __spawn_programs
    for root in (__spawn_root)
        for folder in usr/local/sbin usr/local/bin usr/sbin usr/bin sbin bin
            path filter -x -- $root/$folder/* | path basename
        end
    end
end

# What is there of the value that is completed.
function __spawn_value
    string replace -r '^--[^=]*=' '' -- (commandline -ct)
end

# Words with commas between them.
function __spawn_list
    set -l done (string replace -r '[^,]*$' '' -- (__spawn_value))
    printf '%s\n' $done$argv
end

# Paths with colons between them.
function __spawn_paths
    set -l value (__spawn_value)
    set -l done (string replace -r '[^:]*$' '' -- $value)
    printf '%s\n' $done(__fish_complete_path (string replace -r '^.*:' '' -- $value))
end

complete -c spawn -n __spawn_at_program -f -a '(__spawn_programs)'
# begin generated part
set -g __spawn_takes_value --settings --directory -D --template --pivot-root --chdir --setenv -E --uid -u --kill-signal --notify-ready \
    --suppress-sync --machine -M --hostname --uuid --slice -S --property --register --scope \
    --private-users-ownership --network-interface --network-macvlan --network-ipvlan --network-veth-extra \
    --network-bridge --network-zone --network-namespace-path --port -p --capability --drop-capability \
    --ambient-capability --no-new-privileges --system-call-filter --restrict-address-families --selinux-context -Z \
    --selinux-apifs-context -L --rlimit --oom-score-adjust --cpu-affinity --personality --resolv-conf --timezone \
    --link-journal --forward-journal --forward-journal-max-use --forward-journal-keep-free \
    --forward-journal-max-file-size --forward-journal-max-files --bind --bind-ro --inaccessible --tmpfs --overlay \
    --overlay-ro --bind-user --bind-user-shell --bind-user-group --console --background --set-credential \
    --load-credential
complete -c spawn -n __spawn_in_options -s h -l help -d 'Show this help'
complete -c spawn -n __spawn_in_options -l version -d 'Show the version'
complete -c spawn -n __spawn_in_options -l no-pager -d 'Do not pipe the help into a pager'
complete -c spawn -n __spawn_in_options -l no-ask-password -d 'Do not ask for authorization'
complete -c spawn -n __spawn_in_options -s q -l quiet -d 'Show warnings and errors only'
complete -c spawn -n __spawn_in_options -s v -l verbose -d 'Show each step and what was consumed'
complete -c spawn -n __spawn_in_options -l dry-run -f -a 'text json' -d 'Show the plan, do nothing'
complete -c spawn -n __spawn_in_options -l settings -x -a 'yes no override trusted' -d 'Read .nspawn files: no, yes, override, trusted'
complete -c spawn -n __spawn_in_options -l cleanup -d 'Remove what a dead container left behind'
complete -c spawn -n __spawn_in_options -s D -l directory -x -a '(__fish_complete_directories (__spawn_value))' -d 'Root directory of the container'
complete -c spawn -n __spawn_in_options -l template -x -a '(__fish_complete_directories (__spawn_value))' -d 'Copy the tree from here if it is missing'
complete -c spawn -n __spawn_in_options -s x -l ephemeral -d 'Run on a copy that is thrown away'
complete -c spawn -n __spawn_in_options -l read-only -d 'Mount the root directory read-only'
complete -c spawn -n __spawn_in_options -l volatile -f -a 'no yes state overlay' -d 'Keep no changes: yes, state, overlay, no'
complete -c spawn -n __spawn_in_options -l pivot-root -x -d 'Make a directory of the tree its root'
complete -c spawn -n __spawn_in_options -s a -l as-pid2 -d 'Run the program as PID 2 below a small init'
complete -c spawn -n __spawn_in_options -s b -l boot -d 'Boot the init that the tree has'
complete -c spawn -n __spawn_in_options -l chdir -x -d 'Working directory in the container'
complete -c spawn -n __spawn_in_options -s E -l setenv -x -d 'Set a variable, or pass the caller\'s on'
complete -c spawn -n __spawn_in_options -s u -l uid -x -a '(__spawn_users)' -d 'Run the program as this user'
complete -c spawn -n __spawn_in_options -l kill-signal -x -a 'SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS SIGRTMIN SIGRTMIN+1 SIGRTMIN+2 SIGRTMIN+3 SIGRTMIN+4 SIGRTMIN+5 SIGRTMIN+6 SIGRTMIN+7 SIGRTMIN+8 SIGRTMIN+9 SIGRTMIN+10 SIGRTMIN+11 SIGRTMIN+12 SIGRTMIN+13 SIGRTMIN+14 SIGRTMIN+15 SIGRTMIN+16 SIGRTMIN+17 SIGRTMIN+18 SIGRTMIN+19 SIGRTMIN+20 SIGRTMIN+21 SIGRTMIN+22 SIGRTMIN+23 SIGRTMIN+24 SIGRTMIN+25 SIGRTMIN+26 SIGRTMIN+27 SIGRTMIN+28 SIGRTMIN+29 SIGRTMIN+30' -d 'What asks the program to end'
complete -c spawn -n __spawn_in_options -l notify-ready -x -a 'yes no' -d 'Be ready when the payload says that it is'
complete -c spawn -n __spawn_in_options -l suppress-sync -x -a 'yes no' -d 'Make sync calls of the payload do nothing'
complete -c spawn -n __spawn_in_options -s M -l machine -x -a '(__spawn_machines)' -d 'Name of the machine'
complete -c spawn -n __spawn_in_options -l hostname -x -d 'Host name, if not that of the machine'
complete -c spawn -n __spawn_in_options -l uuid -x -d 'Machine id, if the tree has none'
complete -c spawn -n __spawn_in_options -s S -l slice -x -d 'Slice of the scope (machine.slice)'
complete -c spawn -n __spawn_in_options -l property -x -a 'Description= Documentation= CollectMode= DefaultDependencies= StopWhenUnneeded= RefuseManualStop= AllowIsolate= SourcePath= FailureAction= SuccessAction= RebootArgument= JobTimeoutAction= JobTimeoutRebootArgument= OnFailureJobMode= OnSuccessJobMode= IgnoreOnIsolate= SurviveFinalKillSignal= JobTimeoutSec= JobRunningTimeoutSec= After= Before= Wants= Requires= Requisite= BindsTo= PartOf= Upholds= Conflicts= OnFailure= OnSuccess= PropagatesStopTo= StopPropagatedFrom= JoinsNamespaceOf= RequiresMountsFor= WantsMountsFor= RuntimeMaxSec= RuntimeMaxUSec= RuntimeRandomizedExtraSec= TimeoutStopSec= TimeoutStopUSec= OOMPolicy= KillMode= KillSignal= RestartKillSignal= FinalKillSignal= WatchdogSignal= SendSIGHUP= SendSIGKILL= Slice= Delegate= DelegateSubgroup= CPUAccounting= CPUWeight= StartupCPUWeight= CPUQuota= CPUQuotaPeriodSec= AllowedCPUs= StartupAllowedCPUs= AllowedMemoryNodes= StartupAllowedMemoryNodes= MemoryAccounting= MemoryMin= MemoryLow= StartupMemoryLow= DefaultMemoryMin= DefaultMemoryLow= DefaultStartupMemoryLow= MemoryHigh= StartupMemoryHigh= MemoryMax= StartupMemoryMax= MemorySwapMax= StartupMemorySwapMax= MemoryZSwapMax= StartupMemoryZSwapMax= MemoryZSwapWriteback= MemoryPressureWatch= MemoryPressureThresholdSec= CPUPressureWatch= CPUPressureThresholdSec= IOPressureWatch= IOPressureThresholdSec= TasksAccounting= TasksMax= IOAccounting= IOWeight= StartupIOWeight= IODeviceWeight= IOReadBandwidthMax= IOWriteBandwidthMax= IOReadIOPSMax= IOWriteIOPSMax= IODeviceLatencyTargetSec= IPAccounting= IPAddressAllow= IPAddressDeny= IPIngressFilterPath= IPEgressFilterPath= RestrictNetworkInterfaces= DeviceAllow= DevicePolicy= ManagedOOMSwap= ManagedOOMMemoryPressure= ManagedOOMMemoryPressureLimit= ManagedOOMMemoryPressureDurationSec= ManagedOOMPreference= CoredumpReceive=' -d 'Property of the scope'
complete -c spawn -n __spawn_in_options -l register -x -a 'no yes auto' -d 'Register with machined: yes, no, auto'
complete -c spawn -n __spawn_in_options -l scope -x -a 'no require auto' -d 'Make a scope: require, auto, no'
complete -c spawn -n __spawn_in_options -l keep-unit -d 'Run in the unit of the caller'
complete -c spawn -n __spawn_in_options -l system -d 'Run as a machine of the system'
complete -c spawn -n __spawn_in_options -l user -f -a '(__spawn_users)' -d 'Run as a machine of the calling user'
complete -c spawn -n __spawn_in_options -l private-users -f -a 'no yes pick identity' -d 'User namespace: no, yes, pick, identity, UID[:N]'
complete -c spawn -n __spawn_in_options -l private-users-ownership -x -a 'off chown map auto' -d 'How owners appear: off, map, auto'
complete -c spawn -n __spawn_in_options -s U -d 'As --private-users=pick, if the kernel can'
complete -c spawn -n __spawn_in_options -l private-network -d 'Network namespace with loopback only'
complete -c spawn -n __spawn_in_options -l network-interface -x -a '(__fish_print_interfaces)' -d 'Move a link into the container'
complete -c spawn -n __spawn_in_options -l network-macvlan -x -a '(__fish_print_interfaces)' -d 'Add a macvlan link'
complete -c spawn -n __spawn_in_options -l network-ipvlan -x -a '(__fish_print_interfaces)' -d 'Add an ipvlan link'
complete -c spawn -n __spawn_in_options -s n -l network-veth -d 'Add a virtual cable to the host'
complete -c spawn -n __spawn_in_options -l network-veth-extra -x -d 'Add a further virtual cable'
complete -c spawn -n __spawn_in_options -l network-bridge -x -a '(__fish_print_interfaces)' -d 'Put the cable\'s host side in a bridge'
complete -c spawn -n __spawn_in_options -l network-zone -x -d 'The same, with a bridge made for it'
complete -c spawn -n __spawn_in_options -l network-namespace-path -r -a '(__spawn_paths)' -d 'Join this network namespace'
complete -c spawn -n __spawn_in_options -s p -l port -x -d 'Forward a port of the host'
complete -c spawn -n __spawn_in_options -l capability -x -a '(__spawn_list cap_chown cap_dac_override cap_dac_read_search cap_fowner cap_fsetid cap_kill cap_setgid cap_setuid cap_setpcap cap_linux_immutable cap_net_bind_service cap_net_broadcast cap_net_admin cap_net_raw cap_ipc_lock cap_ipc_owner cap_sys_module cap_sys_rawio cap_sys_chroot cap_sys_ptrace cap_sys_pacct cap_sys_admin cap_sys_boot cap_sys_nice cap_sys_resource cap_sys_time cap_sys_tty_config cap_mknod cap_lease cap_audit_write cap_audit_control cap_setfcap cap_mac_override cap_mac_admin cap_syslog cap_wake_alarm cap_block_suspend cap_audit_read cap_perfmon cap_bpf cap_checkpoint_restore all)' -d 'Let the payload have more capabilities'
complete -c spawn -n __spawn_in_options -l drop-capability -x -a '(__spawn_list cap_chown cap_dac_override cap_dac_read_search cap_fowner cap_fsetid cap_kill cap_setgid cap_setuid cap_setpcap cap_linux_immutable cap_net_bind_service cap_net_broadcast cap_net_admin cap_net_raw cap_ipc_lock cap_ipc_owner cap_sys_module cap_sys_rawio cap_sys_chroot cap_sys_ptrace cap_sys_pacct cap_sys_admin cap_sys_boot cap_sys_nice cap_sys_resource cap_sys_time cap_sys_tty_config cap_mknod cap_lease cap_audit_write cap_audit_control cap_setfcap cap_mac_override cap_mac_admin cap_syslog cap_wake_alarm cap_block_suspend cap_audit_read cap_perfmon cap_bpf cap_checkpoint_restore)' -d 'Take capabilities away'
complete -c spawn -n __spawn_in_options -l ambient-capability -x -a '(__spawn_list cap_chown cap_dac_override cap_dac_read_search cap_fowner cap_fsetid cap_kill cap_setgid cap_setuid cap_setpcap cap_linux_immutable cap_net_bind_service cap_net_broadcast cap_net_admin cap_net_raw cap_ipc_lock cap_ipc_owner cap_sys_module cap_sys_rawio cap_sys_chroot cap_sys_ptrace cap_sys_pacct cap_sys_admin cap_sys_boot cap_sys_nice cap_sys_resource cap_sys_time cap_sys_tty_config cap_mknod cap_lease cap_audit_write cap_audit_control cap_setfcap cap_mac_override cap_mac_admin cap_syslog cap_wake_alarm cap_block_suspend cap_audit_read cap_perfmon cap_bpf cap_checkpoint_restore)' -d 'Capabilities of a payload that is not root'
complete -c spawn -n __spawn_in_options -l no-new-privileges -x -a 'yes no' -d 'Let no exec gain privileges'
complete -c spawn -n __spawn_in_options -l system-call-filter -x -a '@aio ~@aio @basic-io ~@basic-io @chown ~@chown @clock ~@clock @cpu-emulation ~@cpu-emulation @debug ~@debug @default ~@default @file-system ~@file-system @io-event ~@io-event @ipc ~@ipc @keyring ~@keyring @memlock ~@memlock @module ~@module @mount ~@mount @network-io ~@network-io @obsolete ~@obsolete @pkey ~@pkey @privileged ~@privileged @process ~@process @raw-io ~@raw-io @reboot ~@reboot @resources ~@resources @sandbox ~@sandbox @setuid ~@setuid @signal ~@signal @swap ~@swap @sync ~@sync @system-service ~@system-service @timer ~@timer @known ~@known' -d 'Allow or (~) deny system calls and @groups'
complete -c spawn -n __spawn_in_options -l restrict-address-families -x -a 'AF_UNSPEC ~AF_UNSPEC AF_UNIX ~AF_UNIX AF_INET ~AF_INET AF_AX25 ~AF_AX25 AF_IPX ~AF_IPX AF_APPLETALK ~AF_APPLETALK AF_NETROM ~AF_NETROM AF_BRIDGE ~AF_BRIDGE AF_ATMPVC ~AF_ATMPVC AF_X25 ~AF_X25 AF_INET6 ~AF_INET6 AF_ROSE ~AF_ROSE AF_DECnet ~AF_DECnet AF_NETBEUI ~AF_NETBEUI AF_SECURITY ~AF_SECURITY AF_KEY ~AF_KEY AF_NETLINK ~AF_NETLINK AF_PACKET ~AF_PACKET AF_ASH ~AF_ASH AF_ECONET ~AF_ECONET AF_ATMSVC ~AF_ATMSVC AF_RDS ~AF_RDS AF_SNA ~AF_SNA AF_IRDA ~AF_IRDA AF_PPPOX ~AF_PPPOX AF_WANPIPE ~AF_WANPIPE AF_LLC ~AF_LLC AF_IB ~AF_IB AF_MPLS ~AF_MPLS AF_CAN ~AF_CAN AF_TIPC ~AF_TIPC AF_BLUETOOTH ~AF_BLUETOOTH AF_IUCV ~AF_IUCV AF_RXRPC ~AF_RXRPC AF_ISDN ~AF_ISDN AF_PHONET ~AF_PHONET AF_IEEE802154 ~AF_IEEE802154 AF_CAIF ~AF_CAIF AF_ALG ~AF_ALG AF_NFC ~AF_NFC AF_VSOCK ~AF_VSOCK AF_KCM ~AF_KCM AF_QIPCRTR ~AF_QIPCRTR AF_SMC ~AF_SMC AF_XDP ~AF_XDP AF_MCTP ~AF_MCTP' -d 'Allow or (~) deny socket families'
complete -c spawn -n __spawn_in_options -s Z -l selinux-context -x -d 'SELinux label of the payload'
complete -c spawn -n __spawn_in_options -s L -l selinux-apifs-context -x -d 'SELinux label of the API file systems'
complete -c spawn -n __spawn_in_options -l rlimit -x -a 'CPU= FSIZE= DATA= STACK= CORE= RSS= NPROC= NOFILE= MEMLOCK= AS= LOCKS= SIGPENDING= MSGQUEUE= NICE= RTPRIO= RTTIME=' -d 'Limit a resource'
complete -c spawn -n __spawn_in_options -l oom-score-adjust -x -d 'OOM score adjustment, -1000 to 1000'
complete -c spawn -n __spawn_in_options -l cpu-affinity -x -d 'CPUs to run on, as in 0-3,7'
complete -c spawn -n __spawn_in_options -l personality -x -d 'Architecture that uname shows'
complete -c spawn -n __spawn_in_options -l resolv-conf -x -a 'off copy-host copy-static copy-uplink copy-stub replace-host replace-static replace-uplink replace-stub bind-host bind-static bind-uplink bind-stub delete auto' -d 'Name servers: off, auto, copy-host, …'
complete -c spawn -n __spawn_in_options -l timezone -x -a 'off copy bind symlink delete auto' -d 'Time zone: off, auto, copy, …'
complete -c spawn -n __spawn_in_options -l link-journal -x -a 'no auto host guest try-host try-guest' -d 'Share the journal: no, auto, guest, host, …'
complete -c spawn -n __spawn_in_options -s j -d 'As --link-journal=try-guest'
complete -c spawn -n __spawn_in_options -l forward-journal -x -a '(__fish_complete_directories (__spawn_value))' -d 'Store the journal of the guest here'
complete -c spawn -n __spawn_in_options -l forward-journal-max-use -x -d 'Size that it may take'
complete -c spawn -n __spawn_in_options -l forward-journal-keep-free -x -d 'Size that it leaves free'
complete -c spawn -n __spawn_in_options -l forward-journal-max-file-size -x -d 'Size of one of its files'
complete -c spawn -n __spawn_in_options -l forward-journal-max-files -x -d 'Number of its files'
complete -c spawn -n __spawn_in_options -l bind -r -a '(__spawn_paths)' -d 'Show a file or directory of the host'
complete -c spawn -n __spawn_in_options -l bind-ro -r -a '(__spawn_paths)' -d 'The same, read-only'
complete -c spawn -n __spawn_in_options -l inaccessible -x -d 'Hide a file or directory'
complete -c spawn -n __spawn_in_options -l tmpfs -x -d 'Mount an empty tmpfs'
complete -c spawn -n __spawn_in_options -l overlay -r -a '(__spawn_paths)' -d 'Mount an overlay'
complete -c spawn -n __spawn_in_options -l overlay-ro -r -a '(__spawn_paths)' -d 'The same, read-only'
complete -c spawn -n __spawn_in_options -l bind-user -x -a '(__spawn_users)' -d 'Show a user of the host and its home'
complete -c spawn -n __spawn_in_options -l bind-user-shell -x -d 'Shell of such users'
complete -c spawn -n __spawn_in_options -l bind-user-group -x -a '(__fish_complete_groups)' -d 'Group that such users join'
complete -c spawn -n __spawn_in_options -l console -x -a 'interactive read-only passive pipe autopipe' -d 'What stdin, stdout and stderr are connected to'
complete -c spawn -n __spawn_in_options -s P -l pipe -d 'As --console=pipe'
complete -c spawn -n __spawn_in_options -l background -x -d 'Background colour of the terminal'
complete -c spawn -n __spawn_in_options -l set-credential -x -d 'Pass a credential'
complete -c spawn -n __spawn_in_options -l load-credential -x -d 'Pass a credential from a file or socket'
# end generated part
