"""What is behind SAMA's two commands in GIMP. `sama_select.py`, beside this package, registers them.

Names are imported relatively, so that the installer and the tests can use the modules without GIMP as
`gimp_plugin.sama_select.sama`. The version of GIMP's library is settled by `sama_select.py`.
"""
