#!/bin/bash
# Makes the seeds of the fuzz targets out of the cases of t/: fuzz/seeds.sh FOLDER
# writes FOLDER/TARGET/*. Those in fuzz/seeds/TARGET/ are of what t/ has not.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
mkdir -p "$out"/{recording,message,sdp,proxy,media_table,options,config,token,invariants}

# Larger ones teach a fuzzer little and slow it down.
most=6000
pieces=$(mktemp -d)
trap 'rm -rf "$pieces"' EXIT

number=0
while IFS= read -r input; do
    number=$((number + 1))
    case=$(dirname "$input")
    if (($(stat -c %s "$input") < most)); then
        { tr -s '\n' ' ' < "$case/options"; echo; cat "$input"; } > "$out/proxy/$number"
        tr -s ' ' '\n' < "$case/options" > "$out/options/$number"
        sed 's/^-l /listen4 /; s/ -L /\nlisten6 /; s/ -u /\nuplink4 /; s/ -U /\nuplink6 /; s/ -m /\nmap /g; s/ --/\n/g' \
            "$case/options" > "$out/config/$number"
    fi
    rm -f "$pieces"/*
    csplit -s -z -f "$pieces/" "$input" '/^>> udp /' '{*}'
    for piece in "$pieces"/*; do
        message=$out/message/$number-${piece##*/}
        tail -n +2 "$piece" > "$message"
        body=$(sed '1,/^\r*$/d' "$message" | tr -d '\0')
        if [[ $body == v=0* ]]; then
            printf '%c%s\n' $((number % 10)) "$body" > "$out/sdp/$number-${piece##*/}"
        fi
        if (($(stat -c %s "$message") > most)); then
            rm "$message"
        fi
    done
    # What our own answers and mapped messages carry.
    grep -aoE '(s64|received|branch|sig|tag)=[^;>[:space:]]+' "$case/expected" | sed 's/^[^=]*=//' |
        tail -n 1 | tr -d '\n' > "$out/token/$number" || true
done < <(find t -name input | sort)
cp "$out"/message/* "$out/recording/"
cp -r fuzz/seeds/. "$out/"
