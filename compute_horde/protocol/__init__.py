"""What the parties say to each other; `links` tells who may say what to whom."""
