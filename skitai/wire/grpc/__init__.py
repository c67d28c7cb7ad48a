"""gRPC over HTTP/2, without a socket, for both roles: messages in a body, status, metadata, deadlines, methods.

A call is one request: POST to ``/package.Service/Method``, both bodies a sequence of messages with a prefix of five
bytes, and the status of the call in the trailers of the response.
"""
