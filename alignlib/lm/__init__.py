"""Language models small enough to enumerate, and the methods that align them, against the exact limit.

`tasks` has the world (prompts, gold, demonstrations), `level_law` exact laws, `methods` what trains,
`experiment` the grid of runs and its table. Importing this package needs no torch; its modules that train or evaluate
networks (`base_model`, `stack`, `fleet`, `prefix_tree`, `exact`, `proxies`) need the extra ``lm``.
"""
