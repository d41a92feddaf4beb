"""Who a client is: passdb, userdb and the SASL server glue."""
