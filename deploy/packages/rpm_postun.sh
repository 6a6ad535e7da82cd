# shellcheck shell=sh
# The log in /var/lib/holdfast, the settings that were changed, and the user remain; docs/INSTALL.md says how
# to remove them.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart holdfast.service || :
    fi
fi
