"""Jobs for tests of launchers, and a SLURM cluster of one machine: its commands as scripts."""

import sys
import time

from semiseg.launchers.slurm import SlurmLauncher
from semiseg.launchers.slurm_command import RunCommand
from semiseg.launchers.slurm_outcome import OutcomeFile

WRITES = "import os, pathlib; p = pathlib.Path({!r}); p.mkdir(); (p / 'summary.json').write_text('{{}}'); print('hi')"
"""Code of a job that leaves its scores in a folder."""

SBATCH = """#!/bin/sh
if [ -e {folder}/refuses ]; then cat {folder}/refuses >&2; exit 1; fi
echo x >>{folder}/submitted
id=$((41 + $(wc -l <{folder}/submitted)))
cp "$1" {folder}/script.sh
cp "$1" {folder}/script.$id.sh
export SLURM_JOB_ID=$id SLURM_JOB_NODELIST=here SLURM_JOB_NUM_NODES=1
export SLURM_RESTART_COUNT=0 SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0
job() {
    [ ! -e {folder}/waits ] || return
    while sh {folder}/script.$id.sh; [ -e {folder}/requeue ]; do
        rm {folder}/requeue; SLURM_RESTART_COUNT=$((SLURM_RESTART_COUNT + 1))
    done
    touch {folder}/ended.$id
}
(job) >{folder}/said 2>&1 &
echo Submitted batch job $id
"""
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do case "$1" in --output|--error) shift;; esac; shift; done
echo $$ >{folder}/step
exec "$@"
"""
SACCT = """#!/bin/sh
[ ! -e {folder}/no_accounting ] || exit 1
echo "JobID|State"
if [ -e {folder}/state ]; then cat {folder}/state
else
    for id in $(seq 42 $((41 + $(wc -l <{folder}/submitted)))); do
        if [ -e {folder}/ended.$id ]; then echo "$id|COMPLETED"; else echo "$id|RUNNING"; fi
    done
fi
"""
SQUEUE = """#!/bin/sh
if [ -s {folder}/queue ]; then cat {folder}/queue
else echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; fi
"""
SCONTROL = """#!/bin/sh
case "$1" in
requeue) touch {folder}/requeue;;
show) [ ! -e {folder}/restarts ] || echo "JobId=42 JobName=m Requeue=1 Restarts=$(cat {folder}/restarts) BatchFlag=1";;
esac
"""
SCANCEL = """#!/bin/sh
echo "$1|CANCELLED by 1000" >{folder}/state
step=$(cat {folder}/step)
for command in $(cat /proc/$step/task/$step/children); do
    kill -TERM $command
    while [ -e /proc/$command/cmdline ] && [ -n "$(tr -d '\\0' </proc/$command/cmdline)" ]; do sleep 0.05; done
done
kill -KILL $step
"""

SCRIPTS = {
    "sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "squeue": SQUEUE, "scontrol": SCONTROL, "scancel": SCANCEL
}  # fmt: skip


def put_cluster(folder):
    """Write the commands into a new folder, whose other files tell them what to say."""
    folder.mkdir()
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text.replace("{folder}", str(folder)))
        (folder / name).chmod(0o755)
    return folder


def says(cluster, state):
    (cluster / "state").write_text(state and f"42|{state}\n")
    time.sleep(0.1)


def slurm_launcher(folder, options=None, **more):
    return SlurmLauncher(SlurmLauncher.Options.model_validate(options or {}), folder=folder, **more)


def run_command(folder, code, **more):
    return RunCommand([sys.executable, "-c", code], str(folder / "log"), OutcomeFile(folder, "a1"), **more)


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)
    return found
