#!/usr/bin/env bash
# A GPU for a few minutes: figures of this GPU first, then pretraining from the newest weights.
#
#     recipes/gpu/run.sh DATA OUT [SECONDS]
#
# From the root of a checkout, on a machine with Python, PyTorch (2.9 or newer) and Lightning, and
# without a network, astropy or specutils. DATA is what recipes/gpu/pack.py wrote. SECONDS, 540 if
# not given, is how long all of it takes. OUT receives, whatever happens after:
#
#     check.json, train.json   what recipes/gpu/check.py and benchmarks/train.py measured
#     run.log, log.csv         the run's words, and its line for every 200 steps
#     model/                   averaged weights in half precision, renewed every two minutes
#
# To go on later: recipes/gpu/pack.py --start OUT/model. A rehearsal on two cores, with fewer tokens
# in a batch:
#
#     DEVICE=cpu TOKENS=1024 CHECK="--batch 4 --seconds 0.2" recipes/gpu/run.sh DATA OUT 240
set -uo pipefail
data=$(cd "$1" && pwd) out=$(mkdir -p "$2" && cd "$2" && pwd) seconds=${3:-540}
device=${DEVICE:-cuda} python=${PYTHON:-python3} begun=$SECONDS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1

"$python" -c 'import lightning, safetensors, torch; print("torch", torch.__version__)' || exit 1
[ "$device" = cpu ] || nvidia-smi --query-gpu=name,memory.total --format=csv,noheader

cp -r "$data/start" "$work/start"
for name in templates train; do
    gzip -dc "$data/$name.safetensors.gz" > "$work/$name.safetensors" || exit 1
done
sed -e "s/^accelerator = .*/accelerator = \"$device\"/" \
    -e "s/^tokens = .*/tokens = ${TOKENS:-32768}/" recipes/gpu/recipe.toml > "$work/recipe.toml"
# Tracing pays on a GPU only.
[ "$device" = cuda ] || sed -i -e 's/^compile = .*/compile = false/' \
    -e "s/^checkpoint_every = .*/checkpoint_every = ${EVERY:-20}/" "$work/recipe.toml"

# A minute for figures; what fails is said and does not keep the run from starting.
# shellcheck disable=SC2086
timeout 75 "$python" recipes/gpu/check.py --device "$device" --out "$out/check.json" ${CHECK:-} ||
    echo "recipes/gpu/check.py ended with $?"
timeout 60 "$python" benchmarks/train.py --size small --device "$device" --steps 4 \
    --templates "$work/templates.safetensors" --out "$out/train.json" ${TRAIN:-} ||
    echo "benchmarks/train.py ended with $?"

"$python" -m spectok pretrain "$work/recipe.toml" --folder "$work/run" > "$out/run.log" 2>&1 &
run=$!
keep() {
    [ -d "$work/run/model" ] || return 0
    # Beside, then in its place: a copy cut short must not replace a whole one.
    rm -rf "$out/model.part"
    cp -r "$work/run/model" "$out/model.part" || return 0
    rm -rf "$out/model"
    mv "$out/model.part" "$out/model"
    [ ! -f "$work/run/log.csv" ] || cp "$work/run/log.csv" "$out/log.csv"
}
last=$SECONDS
while kill -0 $run 2> /dev/null && [ $((SECONDS - begun)) -lt $((seconds - 8)) ]; do
    sleep 1
    if [ $((SECONDS - last)) -ge "${KEEP:-120}" ]; then
        keep
        last=$SECONDS
    fi
done
if ! kill -0 $run 2> /dev/null; then
    echo "the run has ended by itself:"
    tail -n 20 "$out/run.log"
fi
kill $run 2> /dev/null
wait $run 2> /dev/null
keep
tail -n 3 "$out/log.csv"
[ -f "$out/model/model.safetensors" ]
