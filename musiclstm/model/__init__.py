"""The network and the file it is kept in. Plain torch: nothing here knows Lightning or Hydra."""
