"""The paper's ablation table at the mini size, in one command from one seed."""
