"""Real models: sampled responses with exact log-probabilities, scores of reward models, resumable at any point."""
