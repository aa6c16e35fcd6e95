#!/bin/sh
# The job of synthetic puzzles: finds the numbers behind hashes.
#
#   solve.sh SALT CANDIDATES HASH...        one list of SHA-256 hashes; prints a number per hash
#   solve.sh chain KEY CANDIDATES LIST...   lists `algorithm:hash,hash`, or else those in the file
#                                           /volume/lists, one per line; prints the answer
#   solve.sh echo TEXT                      prints the text
#
# A number n below CANDIDATES has the hash algorithm(SALT followed by n). A hash without one is
# answered with "?". In a chain, the first salt is the SHA-256 of KEY, the next one that of the salt
# and the numbers of a list joined by ":", and the answer is the salt after the last list.
# hashcat searches where it is installed, and this shell elsewhere.
set -eu

hash_of() {
    text=$(printf %s "$2" | "${1}sum")
    echo "${text%% *}"
}

# search ALGORITHM SALT CANDIDATES HASH...: prints "HASH NUMBER" for each hash that it finds.
search() {
    if command -v hashcat > /dev/null; then
        search_with_hashcat "$@"
    else
        search_here "$@"
    fi
}

search_here() {
    algorithm=$1 salt=$2 candidates=$3
    shift 3
    left=$# n=0
    while [ "$n" -lt "$candidates" ] && [ "$left" -gt 0 ]; do
        hash=$(printf %s "$salt$n" | "${algorithm}sum")
        hash=${hash%% *}
        for wanted in "$@"; do
            if [ "$wanted" = "$hash" ]; then
                echo "$hash $n"
                left=$((left - 1))
            fi
        done
        n=$((n + 1))
    done
}

search_with_hashcat() {
    case $1 in
        sha256) mode=1420 ;;
        sha384) mode=10820 ;;
        sha512) mode=1720 ;;
    esac
    salt=$2 last=$(($3 - 1))
    shift 3
    folder=$(mktemp -d)
    for wanted in "$@"; do echo "$wanted:$salt"; done > "$folder/hashes"
    mask=$(printf %s "$last" | sed 's/./?d/g')
    # It keeps its session in the home of its user, which nobody has not, or else where XDG says.
    # It exits with 1 when it found less than all, and with another code when it cannot work.
    export HOME="$folder" XDG_DATA_HOME="$folder" XDG_CACHE_HOME="$folder"
    hashcat --quiet --potfile-disable --session "solve$$" -m "$mode" -a 3 -w 3 \
        --increment --outfile "$folder/found" --outfile-format 1,2 "$folder/hashes" "$mask" \
        >&2 || [ $? -eq 1 ]
    # Each line is HASH:SALT:NUMBER.
    [ ! -e "$folder/found" ] || sed 's/^\([^:]*\):.*:\([^:]*\)$/\1 \2/' "$folder/found"
    rm -rf "$folder"
}

# numbers ALGORITHM SALT CANDIDATES HASH...: prints a number or "?" per hash, in their order.
numbers() {
    found=$(search "$@")
    found=" $(echo "$found" | tr '\n' ' ')"
    shift 3
    for wanted in "$@"; do
        case $found in
            *" $wanted "*)
                number=${found#*" $wanted "}
                echo "${number%% *}"
                ;;
            *) echo '?' ;;
        esac
    done
}

# after_list SALT CANDIDATES LIST: prints the salt after a list.
after_list() {
    hashes=$(echo "${3#*:}" | tr ',' ' ')
    # shellcheck disable=SC2086
    joined=$(numbers "${3%%:*}" "$1" "$2" $hashes)
    hash_of sha256 "$1:$(echo "$joined" | tr '\n' ':' | sed 's/:$//')"
}

case $1 in
    echo)
        echo "$2"
        ;;
    chain)
        salt=$(hash_of sha256 "$2") candidates=$3
        shift 3
        # shellcheck disable=SC2046
        [ $# -gt 0 ] || set -- $(cat "${LISTS:-/volume/lists}")
        for list in "$@"; do
            salt=$(after_list "$salt" "$candidates" "$list")
        done
        echo "$salt"
        ;;
    *)
        numbers sha256 "$@"
        ;;
esac
