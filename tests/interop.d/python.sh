# shellcheck shell=bash
# Installs pynamodb_mate for the scripts that run it beside the Rust trackers; sets $python, $home and $venv. Source it
# at the root of the repository, with `die MESSAGE` defined.
home=target/interop
venv=$home/venv
need='Python 3.10 or newer with venv and pip (https://www.python.org, or the packages python3 and python3-venv)'

python=${PYTHON-python3}
command -v "$python" >/dev/null || die "$python is missing: install $need"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "$python is too old: install $need"
"$python" -c 'import ensurepip, venv' 2>/dev/null || die "$python has no venv: install $need"

# Recreates the venv if the interpreter or a pin has changed. Writes the stamp last, so that no incomplete venv is used.
stamp=$("$python" -c 'import sys; print(sys.version, sys.executable)' && cat tests/interop.d/requirements.txt)
if [[ ! -f $venv/stamp || $(<"$venv/stamp") != "$stamp" ]]; then
    printf '%s: installing the Python packages into %s (once)\n' "${0##*/}" "$venv" >&2
    mkdir -p "$home"
    rm -rf "$venv"
    "$python" -m venv "$venv" >&2
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement tests/interop.d/requirements.txt </dev/null >"$home/pip.log" 2>&1; then
        tail -n 20 "$home/pip.log" >&2
        die 'pip could not install tests/interop.d/requirements.txt from its index (above: the end of its log)'
    fi
    printf '%s\n' "$stamp" >"$venv/stamp"
fi
