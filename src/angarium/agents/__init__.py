"""The delivery agents: a DeliveryRequest goes in, one DeliveryResult a recipient comes out.

They are independent of each other.
"""
