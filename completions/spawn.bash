# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of spawn(1) for bash, which needs nothing else. `make man` writes the part between the marks from the
# table of settings.

# begin generated part
# Sets `takes` (nothing, value, joined), `kind` and `words` of an option; fails for a word that is none.
_spawn_option() {
    takes=nothing kind='' words=''
    case $1 in
    --help | -h) ;;
    --version) ;;
    --no-pager) ;;
    --no-ask-password) ;;
    --quiet | -q) ;;
    --verbose | -v) ;;
    --dry-run) takes=joined kind=words words='text json' ;;
    --settings) takes=value kind=words words='yes no override trusted' ;;
    --cleanup) ;;
    --directory | -D) takes=value kind=directory ;;
    --template) takes=value kind=directory ;;
    --ephemeral | -x) ;;
    --read-only) ;;
    --volatile) takes=joined kind=words words='no yes state overlay' ;;
    --pivot-root) takes=value ;;
    --as-pid2 | -a) ;;
    --boot | -b) ;;
    --chdir) takes=value ;;
    --setenv | -E) takes=value ;;
    --uid | -u) takes=value kind=user ;;
    --kill-signal) takes=value kind=words words='
        SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM
        SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF
        SIGWINCH SIGIO SIGPWR SIGSYS SIGRTMIN SIGRTMIN+1 SIGRTMIN+2 SIGRTMIN+3 SIGRTMIN+4 SIGRTMIN+5 SIGRTMIN+6
        SIGRTMIN+7 SIGRTMIN+8 SIGRTMIN+9 SIGRTMIN+10 SIGRTMIN+11 SIGRTMIN+12 SIGRTMIN+13 SIGRTMIN+14 SIGRTMIN+15
        SIGRTMIN+16 SIGRTMIN+17 SIGRTMIN+18 SIGRTMIN+19 SIGRTMIN+20 SIGRTMIN+21 SIGRTMIN+22 SIGRTMIN+23 SIGRTMIN+24
        SIGRTMIN+25 SIGRTMIN+26 SIGRTMIN+27 SIGRTMIN+28 SIGRTMIN+29 SIGRTMIN+30' ;;
    --notify-ready) takes=value kind=words words='yes no' ;;
    --suppress-sync) takes=value kind=words words='yes no' ;;
    --machine | -M) takes=value kind=machine ;;
    --hostname) takes=value ;;
    --uuid) takes=value ;;
    --slice | -S) takes=value ;;
    --property) takes=value kind=assignment words='
        Description Documentation CollectMode DefaultDependencies StopWhenUnneeded RefuseManualStop AllowIsolate
        SourcePath FailureAction SuccessAction RebootArgument JobTimeoutAction JobTimeoutRebootArgument
        OnFailureJobMode OnSuccessJobMode IgnoreOnIsolate SurviveFinalKillSignal JobTimeoutSec JobRunningTimeoutSec
        After Before Wants Requires Requisite BindsTo PartOf Upholds Conflicts OnFailure OnSuccess PropagatesStopTo
        StopPropagatedFrom JoinsNamespaceOf RequiresMountsFor WantsMountsFor RuntimeMaxSec RuntimeMaxUSec
        RuntimeRandomizedExtraSec TimeoutStopSec TimeoutStopUSec OOMPolicy KillMode KillSignal RestartKillSignal
        FinalKillSignal WatchdogSignal SendSIGHUP SendSIGKILL Slice Delegate DelegateSubgroup CPUAccounting CPUWeight
        StartupCPUWeight CPUQuota CPUQuotaPeriodSec AllowedCPUs StartupAllowedCPUs AllowedMemoryNodes
        StartupAllowedMemoryNodes MemoryAccounting MemoryMin MemoryLow StartupMemoryLow DefaultMemoryMin
        DefaultMemoryLow DefaultStartupMemoryLow MemoryHigh StartupMemoryHigh MemoryMax StartupMemoryMax MemorySwapMax
        StartupMemorySwapMax MemoryZSwapMax StartupMemoryZSwapMax MemoryZSwapWriteback MemoryPressureWatch
        MemoryPressureThresholdSec CPUPressureWatch CPUPressureThresholdSec IOPressureWatch IOPressureThresholdSec
        TasksAccounting TasksMax IOAccounting IOWeight StartupIOWeight IODeviceWeight IOReadBandwidthMax
        IOWriteBandwidthMax IOReadIOPSMax IOWriteIOPSMax IODeviceLatencyTargetSec IPAccounting IPAddressAllow
        IPAddressDeny IPIngressFilterPath IPEgressFilterPath RestrictNetworkInterfaces DeviceAllow DevicePolicy
        ManagedOOMSwap ManagedOOMMemoryPressure ManagedOOMMemoryPressureLimit ManagedOOMMemoryPressureDurationSec
        ManagedOOMPreference CoredumpReceive' ;;
    --register) takes=value kind=words words='no yes auto' ;;
    --scope) takes=value kind=words words='no require auto' ;;
    --keep-unit) ;;
    --system) ;;
    --user) takes=joined kind=user ;;
    --private-users) takes=joined kind=words words='no yes pick identity' ;;
    --private-users-ownership) takes=value kind=words words='off chown map auto' ;;
    -U) ;;
    --private-network) ;;
    --network-interface) takes=value kind=interface ;;
    --network-macvlan) takes=value kind=interface ;;
    --network-ipvlan) takes=value kind=interface ;;
    --network-veth | -n) ;;
    --network-veth-extra) takes=value ;;
    --network-bridge) takes=value kind=interface ;;
    --network-zone) takes=value ;;
    --network-namespace-path) takes=value kind=path ;;
    --port | -p) takes=value ;;
    --capability) takes=value kind=list words='
        cap_chown cap_dac_override cap_dac_read_search cap_fowner cap_fsetid cap_kill cap_setgid cap_setuid
        cap_setpcap cap_linux_immutable cap_net_bind_service cap_net_broadcast cap_net_admin cap_net_raw cap_ipc_lock
        cap_ipc_owner cap_sys_module cap_sys_rawio cap_sys_chroot cap_sys_ptrace cap_sys_pacct cap_sys_admin
        cap_sys_boot cap_sys_nice cap_sys_resource cap_sys_time cap_sys_tty_config cap_mknod cap_lease cap_audit_write
        cap_audit_control cap_setfcap cap_mac_override cap_mac_admin cap_syslog cap_wake_alarm cap_block_suspend
        cap_audit_read cap_perfmon cap_bpf cap_checkpoint_restore all' ;;
    --drop-capability) takes=value kind=list words='
        cap_chown cap_dac_override cap_dac_read_search cap_fowner cap_fsetid cap_kill cap_setgid cap_setuid
        cap_setpcap cap_linux_immutable cap_net_bind_service cap_net_broadcast cap_net_admin cap_net_raw cap_ipc_lock
        cap_ipc_owner cap_sys_module cap_sys_rawio cap_sys_chroot cap_sys_ptrace cap_sys_pacct cap_sys_admin
        cap_sys_boot cap_sys_nice cap_sys_resource cap_sys_time cap_sys_tty_config cap_mknod cap_lease cap_audit_write
        cap_audit_control cap_setfcap cap_mac_override cap_mac_admin cap_syslog cap_wake_alarm cap_block_suspend
        cap_audit_read cap_perfmon cap_bpf cap_checkpoint_restore' ;;
    --ambient-capability) takes=value kind=list words='
        cap_chown cap_dac_override cap_dac_read_search cap_fowner cap_fsetid cap_kill cap_setgid cap_setuid
        cap_setpcap cap_linux_immutable cap_net_bind_service cap_net_broadcast cap_net_admin cap_net_raw cap_ipc_lock
        cap_ipc_owner cap_sys_module cap_sys_rawio cap_sys_chroot cap_sys_ptrace cap_sys_pacct cap_sys_admin
        cap_sys_boot cap_sys_nice cap_sys_resource cap_sys_time cap_sys_tty_config cap_mknod cap_lease cap_audit_write
        cap_audit_control cap_setfcap cap_mac_override cap_mac_admin cap_syslog cap_wake_alarm cap_block_suspend
        cap_audit_read cap_perfmon cap_bpf cap_checkpoint_restore' ;;
    --no-new-privileges) takes=value kind=words words='yes no' ;;
    --system-call-filter) takes=value kind=filter words='
        @aio @basic-io @chown @clock @cpu-emulation @debug @default @file-system @io-event @ipc @keyring @memlock
        @module @mount @network-io @obsolete @pkey @privileged @process @raw-io @reboot @resources @sandbox @setuid
        @signal @swap @sync @system-service @timer @known' ;;
    --restrict-address-families) takes=value kind=filter words='
        AF_UNSPEC AF_UNIX AF_INET AF_AX25 AF_IPX AF_APPLETALK AF_NETROM AF_BRIDGE AF_ATMPVC AF_X25 AF_INET6 AF_ROSE
        AF_DECnet AF_NETBEUI AF_SECURITY AF_KEY AF_NETLINK AF_PACKET AF_ASH AF_ECONET AF_ATMSVC AF_RDS AF_SNA AF_IRDA
        AF_PPPOX AF_WANPIPE AF_LLC AF_IB AF_MPLS AF_CAN AF_TIPC AF_BLUETOOTH AF_IUCV AF_RXRPC AF_ISDN AF_PHONET
        AF_IEEE802154 AF_CAIF AF_ALG AF_NFC AF_VSOCK AF_KCM AF_QIPCRTR AF_SMC AF_XDP AF_MCTP' ;;
    --selinux-context | -Z) takes=value ;;
    --selinux-apifs-context | -L) takes=value ;;
    --rlimit) takes=value kind=assignment words='
        CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME' ;;
    --oom-score-adjust) takes=value ;;
    --cpu-affinity) takes=value ;;
    --personality) takes=value ;;
    --resolv-conf) takes=value kind=words words='
        off copy-host copy-static copy-uplink copy-stub replace-host replace-static replace-uplink replace-stub
        bind-host bind-static bind-uplink bind-stub delete auto' ;;
    --timezone) takes=value kind=words words='off copy bind symlink delete auto' ;;
    --link-journal) takes=value kind=words words='no auto host guest try-host try-guest' ;;
    -j) ;;
    --forward-journal) takes=value kind=directory ;;
    --forward-journal-max-use) takes=value ;;
    --forward-journal-keep-free) takes=value ;;
    --forward-journal-max-file-size) takes=value ;;
    --forward-journal-max-files) takes=value ;;
    --bind) takes=value kind=path ;;
    --bind-ro) takes=value kind=path ;;
    --inaccessible) takes=value ;;
    --tmpfs) takes=value ;;
    --overlay) takes=value kind=path ;;
    --overlay-ro) takes=value kind=path ;;
    --bind-user) takes=value kind=user ;;
    --bind-user-shell) takes=value ;;
    --bind-user-group) takes=value kind=group ;;
    --console) takes=value kind=words words='interactive read-only passive pipe autopipe' ;;
    --pipe | -P) ;;
    --background) takes=value ;;
    --set-credential) takes=value ;;
    --load-credential) takes=value ;;
    *) return 1 ;;
    esac
}
_spawn_names='--help -h --version --no-pager --no-ask-password --quiet -q --verbose -v --dry-run --dry-run= --settings=
    --cleanup --directory= -D --template= --ephemeral -x --read-only --volatile --volatile= --pivot-root=
    --as-pid2 -a --boot -b --chdir= --setenv= -E --uid= -u --kill-signal= --notify-ready= --suppress-sync=
    --machine= -M --hostname= --uuid= --slice= -S --property= --register= --scope= --keep-unit --system --user
    --user= --private-users --private-users= --private-users-ownership= -U --private-network --network-interface=
    --network-macvlan= --network-ipvlan= --network-veth -n --network-veth-extra= --network-bridge= --network-zone=
    --network-namespace-path= --port= -p --capability= --drop-capability= --ambient-capability=
    --no-new-privileges= --system-call-filter= --restrict-address-families= --selinux-context= -Z
    --selinux-apifs-context= -L --rlimit= --oom-score-adjust= --cpu-affinity= --personality= --resolv-conf=
    --timezone= --link-journal= -j --forward-journal= --forward-journal-max-use= --forward-journal-keep-free=
    --forward-journal-max-file-size= --forward-journal-max-files= --bind= --bind-ro= --inaccessible= --tmpfs=
    --overlay= --overlay-ro= --bind-user= --bind-user-shell= --bind-user-group= --console= --pipe -P --background=
    --set-credential= --load-credential='
# end generated part

# Sets the array `line` to the words after the command up to the cursor, put together again where bash parts them at
# one of COMP_WORDBREAKS.
_spawn_line() {
    local at word joined=
    line=()
    for ((at = 1; at <= COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        if ((${#line[@]} > 0)) && [[ -n $joined || $word == [=:]* ]]; then
            line[-1]+=$word
        else
            line+=("$word")
        fi
        joined=
        [[ $word != *[=:] ]] || joined=yes
    done
}

# Remembers what the words that are completed depend on.
_spawn_note() {
    case $1 in
    -D | --directory) directory=${2/#\~\//$HOME/} ;;
    -M | --machine) machine=$2 ;;
    esac
}

# Reads the letters of a word such as -qD; sets `option` when the next word is the value of the last.
_spawn_cluster() {
    local rest=${1#-} letter
    while [ -n "$rest" ]; do
        letter=-${rest:0:1}
        rest=${rest:1}
        if _spawn_option "$letter" && [ "$takes" = value ]; then
            [ -n "$rest" ] || option=$letter
            _spawn_note "$letter" "$rest"
            return
        fi
    done
}

# The tree that the line names.
_spawn_root() {
    if [ -n "$directory" ]; then
        printf '%s\n' "$directory"
    elif [ -n "$machine" ]; then
        printf '%s\n' "/var/lib/machines/$machine"
    fi
}

_spawn_machines() {
    local tree
    for tree in /var/lib/machines/*/; do
        tree=${tree%/}
        [ ! -d "$tree" ] || printf '%s\n' "${tree##*/}"
    done
}

# Users of the tree, or of the host where none is named.
_spawn_users() {
    local root name _
    root=$(_spawn_root)
    [ -r "$root/etc/passwd" ] || return
    while IFS=: read -r name _; do
        printf '%s\n' "$name"
    done <"$root/etc/passwd"
}

_spawn_programs() {
    local root folder program
    root=$(_spawn_root)
    [ -n "$root" ] || return
    for folder in usr/local/sbin usr/local/bin usr/sbin usr/bin sbin bin; do
        for program in "$root/$folder"/*; do
            [ ! -x "$program" ] || [ -d "$program" ] || printf '%s\n' "${program##*/}"
        done
    done
}

# Offers what begins with $1 of the words on standard input.
_spawn_offer() {
    local word
    while read -r word; do
        [[ $word != "$1"* ]] || found+=("$word")
    done
}

# Offers values of the option whose takes, kind and words are set. $1 is what is there of the value.
_spawn_value() {
    local at done=''
    local -a all
    read -r -d '' -a all <<<"$words"
    case $kind in
    words) _spawn_offer "$1" < <(printf '%s\n' "${all[@]}") ;;
    list)
        done=${1%"${1##*,}"}
        compopt -o nospace 2>/dev/null
        _spawn_offer "${1##*,}" < <(printf '%s\n' "${all[@]}")
        ;;
    filter)
        [[ $1 != '~'* ]] || done='~'
        _spawn_offer "${1#'~'}" < <(printf '%s\n' "${all[@]}")
        ;;
    assignment)
        compopt -o nospace 2>/dev/null
        _spawn_offer "$1" < <(printf '%s=\n' "${all[@]}")
        ;;
    directory)
        compopt -o filenames 2>/dev/null
        mapfile -t found < <(compgen -d -- "$1")
        ;;
    path)
        done=${1%"${1##*:}"}
        compopt -o filenames 2>/dev/null
        mapfile -t found < <(compgen -f -- "${1##*:}")
        ;;
    machine) _spawn_offer "$1" < <(_spawn_machines) ;;
    user) _spawn_offer "$1" < <(_spawn_users) ;;
    group) mapfile -t found < <(compgen -g -- "$1") ;;
    interface) _spawn_offer "$1" < <(compgen -G '/sys/class/net/*' | sed 's|.*/||') ;;
    esac
    for at in "${!found[@]}"; do
        found[at]=$done${found[at]}
    done
}

_spawn() {
    local takes kind words word cur before='' option='' directory='' machine='' payload='' at
    local -a line found=()
    COMPREPLY=()
    _spawn_line
    ((${#line[@]} > 0)) || return 0
    cur=${line[-1]}
    for word in "${line[@]:0:${#line[@]}-1}"; do
        if [ -n "$option" ]; then
            _spawn_note "$option" "$word"
            option=
            continue
        fi
        case $word in
        --*=*) _spawn_note "${word%%=*}" "${word#*=}" ;;
        --?*) ! _spawn_option "$word" || [ "$takes" != value ] || option=$word ;;
        -[!-]*) _spawn_cluster "$word" ;;
        --) payload=begins ;;
        *) return 0 ;;
        esac
        [ -z "$payload" ] || break
    done
    if [ -n "$option" ]; then
        _spawn_option "$option"
        _spawn_value "$cur"
    elif [ -n "$payload" ] || [[ $cur != -* ]]; then
        _spawn_offer "$cur" < <(_spawn_programs)
    elif [[ $cur == --*=* ]]; then
        before=${cur%%=*}=
        ! _spawn_option "${cur%%=*}" || [ "$takes" = nothing ] || _spawn_value "${cur#*=}"
    else
        _spawn_offer "$cur" <<<"${_spawn_names// /$'\n'}"
        [ ${#found[@]} -ne 1 ] || [[ ${found[0]} != *= ]] || compopt -o nospace 2>/dev/null
    fi
    # Bash replaces the last of the parts that it sees.
    word=${COMP_WORDS[COMP_CWORD]}
    [[ $word != [=:]* ]] || word=
    word=${cur%"$word"}
    for at in "${!found[@]}"; do
        found[at]=$before${found[at]}
        COMPREPLY+=("${found[at]#"$word"}")
    done
}

complete -o default -F _spawn spawn
