"""A world with real words: a small language model pretrained on English, whose responses nobody can enumerate.

`corpus` has the text, its split and its prompts, `base` the model, `rewards` what responses are worth, `grid` the runs,
`training` trains them with the methods of `alignlib.lm.methods`, `evaluation` measures them through the commands that a
reader has (``alignlib sample``, ``score``, ``kl``, ``frontier``, ``overlay``), `results` is the committed table.
``python -m alignlib.lm.words`` does all of it; importing this package needs no torch.
"""
