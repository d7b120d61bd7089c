"""What a stage knows of one partition: rebuilt from its table, changed by nothing else."""
