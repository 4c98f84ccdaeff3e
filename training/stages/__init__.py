"""The stages of a training, one file each: a `Stage` over the defaults of `training.stage`."""
