#!/bin/sh
# Finds the numbers behind hashes: solve.sh SALT CANDIDATES HASH...
# Prints one line per hash, in their order: the number n below CANDIDATES with
# sha256(SALT followed by n) = HASH. A hash without one is answered with "?".
set -eu

salt=$1
candidates=$2
shift 2

found=' '
left=$#
n=0
while [ "$n" -lt "$candidates" ] && [ "$left" -gt 0 ]; do
    hash=$(printf %s "$salt$n" | sha256sum)
    hash=${hash%% *}
    for wanted in "$@"; do
        if [ "$wanted" = "$hash" ]; then
            found="$found$hash=$n "
            left=$((left - 1))
        fi
    done
    n=$((n + 1))
done

for wanted in "$@"; do
    case $found in
        *" $wanted="*)
            number=${found#*" $wanted="}
            echo "${number%% *}"
            ;;
        *) echo '?' ;;
    esac
done
