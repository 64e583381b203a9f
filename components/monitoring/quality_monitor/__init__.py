"""How good were the served predictions, now that labels are here?"""
