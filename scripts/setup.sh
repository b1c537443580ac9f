#!/bin/sh
# Make .venv fit for one level of use, and the system packages with it.
#
#   scripts/setup.sh run     what `duologue talk --local` needs
#   scripts/setup.sh test    that, and all that the checks need
#   scripts/setup.sh browser the browser that the page is tested in, and nothing else
#
# A second call with nothing changed returns at once. Settings:
#   PYTHON=python3.12   take this interpreter
#   NO_SYSTEM=1         install no system packages
#   CI=true             fail where a part would be left out

set -eu
cd "$(dirname "$0")/.."
level=${1:-run}
venv=.venv
py=$venv/bin/python

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

case $level in
run) extras=local,cli,webrtc,web groups= ;;
test) extras=all,espeak groups="--group test --group lint --group build" ;;
browser) ;;
*) die "unknown level '$level': it is 'run', 'test' or 'browser'" ;;
esac

# --- System packages ---------------------------------------------------------

# Install Debian packages if we may, or leave the reason in $why. The lists of packages
# are fetched only when the first try fails: a fresh container has none.
why=
system_install() {
    [ -z "${NO_SYSTEM:-}" ] || { why="NO_SYSTEM is set"; return 1; }
    command -v apt-get >/dev/null || { why="there is no apt-get here"; return 1; }
    if [ "$(id -u)" = 0 ]; then sudo=""
    elif sudo -n true 2>/dev/null; then sudo="sudo -n"
    else why="not root, and no sudo without a password"; return 1
    fi
    say "installing the system package $*"
    apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120"
    $apt install -y --no-install-recommends "$@" </dev/null >/dev/null 2>&1 && return 0
    why="apt-get failed"
    $apt update </dev/null >/dev/null || return 1
    $apt install -y --no-install-recommends "$@" </dev/null >/dev/null
}

if [ "$level" = browser ]; then
    if command -v chromium >/dev/null || system_install chromium; then exit 0; fi
    [ "${CI:-}" != true ] || die "chromium is missing ($why), and CI=true"
    say "chromium is left out: $why. The tests of the page in it are skipped."
    exit 0
fi

# The voice of the local service. Loading it is the test that counts.
has_flite() {
    "$1" -c 'import ctypes; ctypes.CDLL("libflite_cmu_us_slt.so.1")' 2>/dev/null
}

# Leave `voice` empty with flite, or name the extra that stands in for it.
voice=
find_voice() {
    if [ -n "$voice" ] || has_flite "$1"; then return; fi
    if system_install libflite1 && has_flite "$1"; then return; fi
    [ "${CI:-}" != true ] || die "libflite1 is missing ($why), and CI=true"
    voice=espeak
    say "libflite1 is left out: $why."
    say "  The local service speaks with espeak instead. It sounds robotic, the"
    say "  recogniser reads it badly, and tests that need libflite1 are skipped."
    say "  To get it: sudo apt-get install libflite1"
}

# A microphone and a speaker for the test of them: PortAudio, and a sound server that
# needs no sound card.
has_sound() {
    command -v pulseaudio >/dev/null && command -v pacat >/dev/null &&
        ls /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so >/dev/null 2>&1 &&
        "$1" -c 'import ctypes; ctypes.CDLL("libportaudio.so.2")' 2>/dev/null
}

find_sound() {
    if [ "$level" != test ] || has_sound "$1"; then return; fi
    packages="libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins"
    # shellcheck disable=SC2086  # it is several words
    if system_install $packages && has_sound "$1"; then return; fi
    [ "${CI:-}" != true ] || die "one of $packages is missing ($why), and CI=true"
    say "the test of microphone and speaker is skipped: $why."
    say "  To run it: sudo apt-get install $packages"
}

# --- Is it all there already? ------------------------------------------------

# The folder is part of the stamp: the scripts of a virtual environment hold its
# path, so one that was copied or moved is made anew.
stamp=$({ pwd; cat pyproject.toml constraints.txt scripts/setup.sh; } | sha256sum)
stamped() {
    [ -x "$py" ] && [ "$(cat "$venv/.stamp-$1" 2>/dev/null)" = "$stamp" ]
}
if stamped "$level" || stamped test; then
    find_voice "$py"
    find_sound "$py"
    if [ -z "$voice" ] || [ -e "$venv/.espeak" ]; then exit 0; fi
fi

# --- Interpreter -------------------------------------------------------------

fits() { "$1" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] $2)" 2>/dev/null; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" "" || die "$PYTHON is not Python 3.11 or later"
        python=$PYTHON
        return
    fi
    # Two dependencies have no wheels for 3.14 yet, so an older one goes first.
    for python in python3 python3.13 python3.12 python3.11; do
        if fits "$python" "< (3, 14)"; then return; fi
    done
    python=python3
    command -v python3 >/dev/null || die "python3 is not installed; 3.11 or later is needed"
    fits python3 "" || die "python3 is $(python3 -V 2>&1 | cut -d' ' -f2); 3.11 or later is needed"
    say "python3 is newer than 3.13: some dependencies are built from source, which"
    say "  needs a C compiler, cmake and the headers of Python (python3-dev)"
}
find_python

# --- Virtual environment -----------------------------------------------------

# Debian ships `venv` without `ensurepip`, which python3-venv adds. Where it cannot
# be installed, the pip of the system fills the environment.
make_venv() {
    bundled='from ensurepip import version'
    if ! "$python" -c "$bundled" 2>/dev/null; then
        system_install python3-venv || true
    fi
    if "$python" -c "$bundled" 2>/dev/null; then
        "$python" -m venv --clear "$venv"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        say "python3-venv is missing ($why); the pip of $python stands in for it"
        "$python" -m venv --clear --without-pip "$venv"
        "$python" -m pip --quiet --python "$py" install "$pip"
    else
        die "python3-venv is missing ($why), and $python has no pip either:
  sudo apt-get install python3-venv"
    fi
    pwd >"$venv/.made-in"
}

pip=$(grep '^pip==' constraints.txt)
if [ "$(cat "$venv/.made-in" 2>/dev/null)" != "$(pwd)" ] || ! fits "$py" "" ||
    ! "$py" -m pip --version >/dev/null 2>&1; then
    say "making $venv with $("$python" -V 2>&1)"
    make_venv
fi
rm -f "$venv"/.stamp-*
find_voice "$py"
find_sound "$py"

# --- Python packages ---------------------------------------------------------

run_pip() { "$py" -m pip --disable-pip-version-check --no-input --quiet "$@" </dev/null; }

say "installing Python packages for '$level' (the first time takes a minute or two)"
case $(run_pip --version) in
"pip ${pip#pip==} "*) ;;
*) run_pip install "$pip" ;;
esac
# shellcheck disable=SC2086  # $groups is several words
run_pip install --editable ".[$extras${voice:+,$voice}]" $groups \
    --constraint constraints.txt --build-constraint constraints.txt

# The wheels of a base install, so that the test of it needs no network.
if [ "$level" = test ]; then
    rm -rf .wheels
    run_pip download --dest .wheels --no-deps --only-binary :all: \
        --constraint constraints.txt attrs msgspec immutables
    voice=espeak
fi

[ -z "$voice" ] || : >"$venv/.espeak"
echo "$stamp" >"$venv/.stamp-$level"
say "ready"
