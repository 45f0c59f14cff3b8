"""What `./dev` is made of. Modules that run before the set-up use the standard library only."""
