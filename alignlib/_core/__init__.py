"""What every room shares, and what none of them is about.

`checks` of arguments and `errors.InputError`, the one class of bad input; `special` functions that keep their accuracy
near zero; `files` written whole or not at all; `text` made safe for the place it goes to, and `plain` data for JSON;
`names`, what to say of an unknown one; `palette`, the colours of every picture.
"""
