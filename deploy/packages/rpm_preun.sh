# shellcheck shell=sh
# Last version removed.
if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now holdfast.service || :
fi
