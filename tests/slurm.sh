#!/usr/bin/env bash
# Start (or stop) a Slurm of one node on this machine, for the tests: as root, on Debian or Ubuntu.
#   tests/slurm.sh start|stop
# The partition `urgent` preempts jobs of `main`. There is no accounting.
set -euo pipefail

CONF=/etc/slurm/slurm.conf
MARK="# written by tests/slurm.sh"
STATE=/tmp/slurm-for-tests

start() {
  if [ -e $CONF ] && ! grep -q "$MARK" $CONF; then
    echo "error: $CONF is there already, of a Slurm that is not mine" >&2
    exit 2
  fi
  if scontrol ping 2>/dev/null | grep -q UP; then
    return
  fi
  if ! { command -v slurmctld && command -v slurmd && command -v munged; } >/dev/null; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurm-wlm munge
  fi
  mkdir -p /etc/slurm $STATE/ctld $STATE/d
  cat >$CONF <<END
$MARK
ClusterName=tests
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/d
AuthType=auth/munge
# a job that was queued again waits for its old credential to end: 120 s without this, 5 at least
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
# the signal that submitit asks for is sent to jobs that are preempted, too
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MailProg=/bin/true
MpiDefault=none
KillWait=10
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
END
  mkdir -p /run/munge && chown munge: /run/munge && chmod 755 /run/munge
  pgrep -x munged >/dev/null || setpriv --reuid munge --regid munge --clear-groups munged
  slurmctld -c
  slurmd
  for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then
      return
    fi
    sleep 0.5
  done
  echo "error: Slurm did not start; see $STATE" >&2
  exit 1
}

stop() {
  for each in slurmd slurmctld; do
    if [ -e $STATE/$each.pid ]; then
      kill "$(cat $STATE/$each.pid)" || true
    fi
  done
}

case "${1-}" in
start | stop) "$1" ;;
*)
  echo "error: tests/slurm.sh start|stop" >&2
  exit 2
  ;;
esac
