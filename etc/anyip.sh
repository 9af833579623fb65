#!/bin/sh
# AnyIP: with one route the kernel takes a whole prefix for its own, so that any
# address in it can stand for a phone (the right side of a map) without being on an
# interface. In IPv6 it can be bound with the option freebind only:
#
#   etc/anyip.sh add 2001:db8:64::/64
#   etc/anyip.sh remove 2001:db8:64::/64
#
# Routers must send the prefix to this machine; where it is part of the prefix of
# the link, neighbours ask for each address, which ndppd or
# "ip -6 neigh add proxy ADDRESS dev eth0" answers. IPv4 prefixes work the same.
#
# The route does not outlive a boot. It is there whenever sipproxy64 starts if
# "systemctl edit sipproxy64" gets
#
#   [Service]
#   ExecStartPre=+/sbin/ip -6 route replace local 2001:db8:64::/64 dev lo
#
# or, without systemd, /etc/network/interfaces below "iface lo inet loopback"
#
#   up ip -6 route replace local 2001:db8:64::/64 dev lo
set -eu
case ${1:-}:${2:-} in
add:*/*) verb=add ;;
remove:*/*) verb=del ;;
*)
    echo "usage: anyip.sh add|remove PREFIX" >&2
    exit 2
    ;;
esac
case $2 in
*:*) ip -6 route "$verb" local "$2" dev lo ;;
*) ip -4 route "$verb" local "$2" dev lo ;;
esac
