"""Is the world still what the model learned?"""
