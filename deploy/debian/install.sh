#!/bin/sh
# Puts Propylon's files in place on a Debian-like machine, or takes them away:
#
#     sh deploy/debian/install.sh [DESTDIR]
#     sh deploy/debian/install.sh --remove [DESTDIR]
#
# What an operator may have changed, below /etc, is neither overwritten nor removed. Propylon itself is a
# virtual environment at /opt/propylon, which this does not make: README.md beside it has the commands.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
remove=no
if [ "${1:-}" = --remove ]; then
    remove=yes
    shift
fi
root=${1:-}

# SOURCE TARGET, below deploy/ and DESTDIR
ours="
systemd/propylon.socket usr/lib/systemd/system/propylon.socket
systemd/propylon.service usr/lib/systemd/system/propylon.service
systemd/propylon-gateway.socket usr/lib/systemd/system/propylon-gateway.socket
systemd/propylon-gateway.service usr/lib/systemd/system/propylon-gateway.service
systemd/propylon-worker@.service usr/lib/systemd/system/propylon-worker@.service
debian/propylon.sysusers usr/lib/sysusers.d/propylon.conf
debian/propylon.tmpfiles usr/lib/tmpfiles.d/propylon.conf
"
operators="
debian/propylon.toml etc/propylon/propylon.toml
debian/gateway.toml etc/propylon/gateway.toml
debian/worker.toml etc/propylon/workers/api.toml
debian/propylon.default etc/default/propylon
logrotate/propylon etc/logrotate.d/propylon
"

if [ "$remove" = yes ]; then
    echo "$ours" | while read -r source target; do
        [ -z "$source" ] || rm -f "$root/$target"
    done
    echo "Removed; what is below $root/etc, /var/lib/propylon, /var/log/propylon and the user stay"
    exit
fi

echo "$ours" | while read -r source target; do
    [ -z "$source" ] || install -D -m 644 "$here/$source" "$root/$target"
done
echo "$operators" | while read -r source target; do
    if [ -z "$source" ]; then
        continue
    elif [ -e "$root/$target" ]; then
        echo "Kept $root/$target"
    else
        install -D -m 644 "$here/$source" "$root/$target"
    fi
done
