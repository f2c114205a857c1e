#!/bin/sh
# Finds a Python that fits and starts the installer with it. With --hold the window stays open at the end.
cd "$(dirname "$0")" || exit 1
hold=
if [ "$1" = --hold ]; then
    hold=yes
    shift
fi

fits() {
    # Without Apple's developer tools, their python3 is a program that only offers to install those.
    case "$1" in
        /usr/bin/python3) [ "$(uname)" != Darwin ] || xcode-select -p >/dev/null 2>&1 || return 1 ;;
    esac
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

# A double-click on macOS does not get the PATH of a terminal.
[ "$(uname)" != Darwin ] ||
    PATH="$PATH:/opt/homebrew/bin:/usr/local/bin:/Library/Frameworks/Python.framework/Versions/Current/bin"

start() {
    for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        python=$(command -v "$name") || continue
        if fits "$python"; then
            "$python" install.py "$@"
            return $?
        fi
    done
    echo "SAMA needs Python 3.10 or newer, and none was found. To get one:" >&2
    if [ "$(uname)" = Darwin ]; then
        echo "  download and open the installer from https://www.python.org/downloads/macos/" >&2
    elif command -v apt-get >/dev/null; then
        echo "  sudo apt install python3 python3-venv" >&2
    elif command -v dnf >/dev/null; then
        echo "  sudo dnf install python3" >&2
    elif command -v pacman >/dev/null; then
        echo "  sudo pacman -S python" >&2
    elif command -v zypper >/dev/null; then
        echo "  sudo zypper install python3" >&2
    else
        echo "  install python3 with your system's package manager" >&2
    fi
    echo "Then start this again." >&2
    return 1
}

start "$@"
status=$?
if [ -n "$hold" ]; then
    printf 'Press Enter to close this window. '
    read -r _
fi
exit $status
