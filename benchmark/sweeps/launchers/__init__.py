"""Where a sweep's runs are started: on this machine, on Ray, on Slurm."""
