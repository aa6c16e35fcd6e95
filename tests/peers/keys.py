"""The keys of the scripted peers."""

from bittensor_core import Keypair

VALIDATOR = Keypair.create_from_uri("//Alice")
MINER = Keypair.create_from_uri("//Bob")
USER = Keypair.create_from_uri("//Charlie")
STRANGER = Keypair.create_from_uri("//Dave")
OTHER_MINER = Keypair.create_from_uri("//Eve")
