"""What a host and the isolation library tell each other: the limits file goes in, the shared region comes out."""
