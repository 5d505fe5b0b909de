#!/bin/sh
# Counts the instructions that the engine spends on an event without HTTP and without a disk (benches/benches/turn.rs), under callgrind, and
# compares them with benches/instructions.txt. More than 5 % above it is a failure: find out why, or write the new figure and the reason down.
#
# The difference between two runs is taken, so that start and set-up do not count. The C library is told not to choose its routines by the
# processor, so that machines agree; the compiler has to be the same.
set -eu
cd "$(dirname "$0")/.."
few=2000 many=12000
known=benches/instructions.txt
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-AVX_Fast_Unaligned_Load,-BMI2,-ERMS,-FSRM,-MOVBE

program=$(${CARGO:-cargo} build --release -p postrider-benches --bench turn --message-format=json |
    sed -n 's/.*"name":"turn".*"executable":"\([^"]*\)".*/\1/p')
[ -x "$program" ] || { echo "instructions: the benchmark turn was not built" >&2; exit 2; }

count() {
    said=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" --events "$1" 2>&1) || { echo "$said" >&2; exit 2; }
    echo "$said" | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
of_few=$(count $few)
of_many=$(count $many)
now=$(( (of_many - of_few) / (many - few) ))
was=$(sed -n 's/^\([0-9][0-9]*\) instructions.*/\1/p' $known)
compiler=$(rustc --version | cut -d' ' -f2)
echo "instructions an event: $now by rustc $compiler; $known has $(grep '^[0-9]' $known)"
if [ $(( now * 100 )) -gt $(( was * 105 )) ]; then
    echo "instructions: more than 5 % above the figure; find out why, or write the new one and the reason into $known" >&2
    grep -q "^[0-9].* rustc $compiler\$" $known || echo "instructions: the compiler is another than the figure's" >&2
    exit 1
elif [ $(( now * 105 )) -lt $(( was * 100 )) ]; then
    echo "instructions: more than 5 % below the figure; write the new one into $known, so that it does not grow back unseen"
fi
