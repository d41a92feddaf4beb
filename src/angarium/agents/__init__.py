"""The delivery agents: a DeliveryRequest goes in, one DeliveryResult a recipient comes out. Independent of each other."""
