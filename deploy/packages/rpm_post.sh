# shellcheck shell=sh
# First installation or upgrade. rpm before 4.19 does not create users from sysusers.d itself.
systemd-sysusers holdfast.conf || :
if [ "$1" -eq 1 ]; then
    chgrp holdfast /etc/holdfast/holdfast.env && chmod 0640 /etc/holdfast/holdfast.env
fi
systemd-tmpfiles --create holdfast.conf || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
