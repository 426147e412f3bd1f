"""What requests may say: kinds of fields, query parameters, bodies, and the only reader of them."""
