"""Where does a pipeline run?"""
