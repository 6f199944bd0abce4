"""Real models: sampled responses with exact log-probabilities, scores of reward models, resumable at any point.

`sample`, in the module of that name, draws responses to prompts (`read_prompts`, in ``prompts``), `score` adds the
rewards of a reward model; ``next_token`` has the laws of the next token along given responses, ``resumable`` the shards
of a job that may be killed. Only those who run a model need torch. A sampling job keeps a seed, not a generator: the
seed is part of what the job is, as a job that was killed must draw the same responses when it goes on.
"""
