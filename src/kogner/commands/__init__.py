"""The subcommands of `kogner`, one file each: verbs live here, nouns in the packages beside it."""
