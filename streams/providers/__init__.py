"""The providers' protocols behind one protocol of ours: a question in, a reply or a typed error out."""
