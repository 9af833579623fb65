# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_sipproxy64_global_optspecs
    string join \n l/listen4= L/listen6= u/uplink4= U/uplink6= m/map= name= p/rtp-ports= rtp-timeout= ringing-timeout= hold-timeout= latch= max-calls= max-calls-per-source= dscp= batch-us= no-foreign-challenges w/wrapper lenient secret= freebind takeover= control= metrics= hep= hep-id= pcap= pcap-rtp pcap-size= record= anonymise d/daemon P/pid-file= user= no-sandbox log= log-format= v/verbose q/quiet c/config= check t/test= h/help V/version
end

function __fish_sipproxy64_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sipproxy64_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_sipproxy64_using_subcommand
    set -l cmd (__fish_sipproxy64_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s l -l listen4 -d 'IPv4 listen address' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s L -l listen6 -d 'IPv6 listen address' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s u -l uplink4 -d 'Where undirected traffic from the IPv6 side goes' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s U -l uplink6 -d 'Where undirected traffic from the IPv4 side goes' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s m -l map -d 'One phone and its stand-in in the other family; repeat' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l name -d 'A name under which phones know us as outbound proxy; repeat' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s p -l rtp-ports -d 'Media ports [default: 16384-32767]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l rtp-timeout -d 'Silence that ends an answered call, in seconds [default: 60]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l ringing-timeout -d 'Silence that ends a ringing call, in seconds [default: 180]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l hold-timeout -d 'Silence that ends a call on hold, in seconds [default: 3600]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l latch -d 'Whom media may come from [default: signalled]' -r -f -a "signalled\t''
first\t''
off\t''"
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l max-calls -d 'Calls with media at once [default: as the media ports allow]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l max-calls-per-source -d 'Of these asked for by one stranger, an IPv4 address or IPv6 /64 [default: 32]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l dscp -d 'DSCP of relayed media, 46 for EF [default: as the system has it]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l batch-us -d 'Microseconds that media packets may wait for others, to save processor time [default: 0]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l secret -d 'File of the key for signatures, created if absent [default: a random key for this run]' -r -F
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l takeover -d 'Take over all calls of the daemon at this control socket' -r -F
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l control -d 'Socket at which `sipproxy64 status` asks, or none [default: /run/sipproxy64/control for root]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l metrics -d 'Web page and Prometheus metrics at this address; public: before it where others may look' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l hep -d 'Send each SIP message to a collector, by HEP version 3 over UDP' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l hep-id -d 'By which number the collector knows this proxy [default: 64]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l pcap -d 'Write each SIP message to a capture file, as it came and as it left' -r -F
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l pcap-size -d 'At which size a new capture file is begun, in megabytes [default: 100]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l record -d 'Record each call as a test, in a directory of its own under this one' -r -F
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s P -l pid-file -d 'File for the number of the process' -r -F
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l user -d 'Whom to become once all is bound' -r
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l log -d 'Where the log goes [default: stderr, with --daemon syslog]' -r -f -a "stderr\t''
syslog\t''"
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l log-format -d 'What a line of the log looks like [default: text]' -r -f -a "text\t''
json\t''"
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s c -l config -d 'File with more options, one a line, without dashes' -r -F
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s t -l test -d 'Print instead of sending; with files, read recorded messages' -r -F
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l no-foreign-challenges -d 'Let nobody but uplinks and phones ask phones for their password'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s w -l wrapper -d 'Leave Contact headers to a wrapper'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l lenient -d 'Repair IPv6 addresses that came without brackets'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l freebind -d 'Bind addresses that are not on an interface yet'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l pcap-rtp -d 'Write media to the capture file too'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l anonymise -d 'Leave out of recordings who calls, and from where'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s d -l daemon -d 'Leave the shell once the start has succeeded'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l no-sandbox -d 'Keep what the system lets one do but is not needed after the start'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s v -l verbose -d 'Log more; repeat'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s q -l quiet -d 'Log warnings and errors alone'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -l check -d 'Say what would be done, and whether the options are right'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s h -l help -d 'Print help'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -s V -l version -d 'Print version'
complete -c sipproxy64 -n "__fish_sipproxy64_needs_command" -f -a "status" -d 'Shows what a running sipproxy64 does'
complete -c sipproxy64 -n "__fish_sipproxy64_using_subcommand status" -l control -d 'The control socket of the daemon [default: the usual one]' -r
complete -c sipproxy64 -n "__fish_sipproxy64_using_subcommand status" -l json -d 'For programs: one object of JSON'
complete -c sipproxy64 -n "__fish_sipproxy64_using_subcommand status" -l watch -d 'Show it anew each second; q ends'
complete -c sipproxy64 -n "__fish_sipproxy64_using_subcommand status" -s h -l help -d 'Print help'
complete -c sipproxy64 -n "__fish_sipproxy64_using_subcommand status" -s V -l version -d 'Print version'
