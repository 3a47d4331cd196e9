"""The past through the same engine: when would a configuration have warned, vetoed, frozen, tripped?"""
