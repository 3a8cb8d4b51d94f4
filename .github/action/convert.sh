#!/usr/bin/env bash
# Turns the clean files of the scan into safetensors. Each is read and judged again by the converter, and nothing is unpickled.
. "${BASH_SOURCE[0]%/*}/runner.sh"

enter_checkout
folder=$(work_folder)
set_output folder "$folder"
done=0 left=0
while IFS= read -r -d '' path; do
    case "/$path/" in
        //* | */../*) left=$((left + 1)); continue ;;
    esac
    out=$folder/$path.safetensors
    mkdir -p -- "${out%/*}" 2> /dev/null || { left=$((left + 1)); continue; }
    if without_workflow_commands "$GATE_COMMAND" convert --no-progress "--out=$out" -- "./$path" 2>&1; then done=$((done + 1)); else left=$((left + 1)); fi
done < "${GATE_CLEAN:-/dev/null}"
find "$folder" -mindepth 1 -type d -empty -delete
# In the sandbox, nobody is the owner of anything.
chmod -R u=rwX,go=rX -- "$folder"
say notice "$done clean files were converted; $left hold no weights that can be"
