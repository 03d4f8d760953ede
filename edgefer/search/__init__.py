"""Search architectures and hyperparameters by accuracy and by cost on a device, with Ray Tune and Optuna."""
