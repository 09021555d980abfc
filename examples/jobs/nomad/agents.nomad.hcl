# Agents as a Nomad service: each in the foreground of a task; they end together.
#
#   nomad job run agents.nomad.hcl
#
# On every client of the node class "fireclaw": fireclaw and its engine are installed; `fireclaw setup --agents` has been
# run, as the task's user, for the home folder below; the driver raw_exec is enabled (the driver exec would hide the
# engine from it). An agent's workspace is in that folder: it stays on its client, and so should the agent.

job "agents" {
  datacenters = ["dc1"]
  type        = "service"

  constraint {
    attribute = "${node.class}"
    value     = "fireclaw"
  }

  group "worker" {
    count = 2

    # A task that ends by itself, because its agent did, is started again where it was ...
    restart {
      attempts = 5
      interval = "10m"
      delay    = "15s"
      mode     = "delay"
    }

    # ... and not elsewhere, where its workspace is not.
    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "agent" {
      driver = "raw_exec"
      user   = "fireclaw"

      config {
        command = "/usr/bin/fireclaw"
        args    = ["agent", "start", "worker", "--name", "worker-${NOMAD_ALLOC_INDEX}", "--foreground"]
      }

      env {
        FIRECLAW_HOME = "/var/lib/fireclaw"
      }

      # The bot says goodbye and the guest unmounts its disks: five seconds, at most fifteen.
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      # The engine's, which is the machine's memory and a bit.
      resources {
        cpu    = 1000
        memory = 768
      }
    }
  }
}
